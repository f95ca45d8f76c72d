"use strict";
// Every text of the data comes in as text (textContent, attributes), never as markup.

const FRAME_MS = 160;
const PAUSE_MS = 700; // before a sample begins anew
const ARROW_SCALE = 4; // mean motions are short
const SVG = "http://www.w3.org/2000/svg";
const content = JSON.parse(document.getElementById("data").textContent);
const players = [];

function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const many = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// --- the picture: path, dots, arrow ----------------------------------------------------------

function lineOf(points) {
  let pen = "M";
  const steps = [];
  for (const point of points) {
    if (point) steps.push(`${pen}${point[0]} ${point[1]}`);
    pen = point ? "L" : "M"; // what is not seen leaves a gap
  }
  return steps.join("");
}

function cased(d, name, casing) {
  return [svg("path", { class: casing, d }), svg("path", { class: name, d })];
}

function arrowOf(mean, [height, width]) {
  const [x, y] = mean.map((part) => part * ARROW_SCALE);
  const length = Math.hypot(x, y);
  const [left, top] = [width / 2 - x / 2, height / 2 - y / 2];
  const shaft = `M${left} ${top}l${x} ${y}`;
  if (length < 1) return shaft; // too short for a head: a dot, as long as it is
  const size = Math.min(length / 2, Math.max(width, height) / 20);
  const head = [2.6, -2.6].map((turn) => {
    const angle = Math.atan2(y, x) + turn;
    return `M${left + x} ${top + y}l${size * Math.cos(angle)} ${size * Math.sin(angle)}`;
  });
  return shaft + head.join("");
}

function overlayOf(sample) {
  const [height, width] = sample.size_hw;
  const d = sample.arrow ? arrowOf(sample.arrow, sample.size_hw) : sample.paths.map(lineOf).join("");
  const attributes = { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
  return svg("svg", attributes, ...cased(d, "path", "casing"));
}

function dotsAt(sample, shown) {
  return sample.dots.filter((dots) => dots[shown]).map((dots) => {
    const [x, y] = dots[shown];
    return `M${x} ${y}h0`;
  }).join("");
}

function pictureOf(sample, source, alt) {
  const image = el("img", { src: source, alt });
  const overlay = overlayOf(sample);
  const dots = sample.dots ? cased("", "dot", "dot-casing") : [];
  overlay.append(...dots);
  const caption = el("figcaption");
  const figure = el("figure", {}, el("div", { class: "picture" }, image, overlay), caption);
  return { figure, image, caption, setDots: (d) => dots.forEach((dot) => dot.setAttribute("d", d)) };
}

function motionOf(sample) {
  if (!sample.arrow) return "";
  const [x, y] = sample.arrow;
  const across = `${Math.abs(x).toFixed(1)} px ${x < 0 ? "left" : "right"}`;
  return `; mean motion ${across}, ${Math.abs(y).toFixed(1)} px ${y < 0 ? "up" : "down"}`;
}

// --- a sample that plays ---------------------------------------------------------------------

function playerOf(sample) {
  const blur = pictureOf(sample, sample.blur, `Blurred image of ${sample.source}`);
  const sharp = pictureOf(sample, sample.frames[0], "");
  const pair = el("div", { class: "pair" }, blur.figure, sharp.figure);
  blur.caption.textContent = "blur";
  const last = sample.frames.length - 1;
  const slider = el("input", { type: "range", min: 0, max: last, step: 1, value: 0 });
  slider.setAttribute("aria-label", `Time in the exposure of ${sample.key}`);
  slider.disabled = last === 0;
  const button = el("button", { type: "button", "aria-pressed": "false" }, "Play");
  button.setAttribute("aria-label", `Play ${sample.key}`);
  let timer = null;

  function show(shown) {
    const when = sample.times[shown].toFixed(2);
    const which = `${sample.numbers[shown] + 1} of ${sample.stored}`;
    slider.value = shown;
    slider.setAttribute("aria-valuetext", `time ${when}, frame ${which}`);
    sharp.image.src = sample.frames[shown];
    sharp.image.alt = `Sharp frame ${which} of ${sample.source}`;
    sharp.caption.textContent = `${which}, t = ${when}`;
    const dots = sample.dots ? dotsAt(sample, shown) : "";
    for (const picture of [blur, sharp]) picture.setDots(dots);
  }

  function advance() {
    const shown = Number(slider.value) === last ? 0 : Number(slider.value) + 1;
    show(shown);
    timer = setTimeout(advance, shown === last ? PAUSE_MS : FRAME_MS);
  }

  function play(playing) {
    clearTimeout(timer);
    timer = null;
    button.textContent = playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", playing);
    if (playing && last) advance();
  }

  slider.addEventListener("input", () => { play(false); show(Number(slider.value)); });
  button.addEventListener("click", () => play(timer === null));
  show(0);
  players.push({ play });
  new ResizeObserver(() => fit(pair, blur.image, sample)).observe(pair);
  return [pair, el("div", { class: "controls" }, button, slider)];
}

// Whole multiples of the stored size where there is room, so that pixels stay square and alike.
function fit(pair, image, sample) {
  const room = Math.floor((pair.clientWidth - 10) / 2);
  const [height, width] = sample.size_hw;
  const scale = room >= width ? Math.floor(room / width) : room / width;
  pair.style.setProperty("--shown-width", `${Math.floor(width * scale)}px`);
  pair.style.setProperty("--shape", `${width} / ${height}`);
  pair.classList.toggle("magnified", scale > 1 && image.naturalWidth === width);
}

function cardOf(sample) {
  const notes = [sample.facts + motionOf(sample)];
  if (sample.frames.length < sample.stored) {
    notes.push(`${sample.frames.length} of ${many(sample.stored, "stored frame")} shown`);
  }
  if (sample.how) notes.push(sample.how);
  return el("article", { class: "card" },
    el("header", {}, el("h4", {}, sample.source), el("span", { class: "quiet small" }, sample.split)),
    el("p", { class: "key" }, sample.key),
    ...playerOf(sample),
    el("p", { class: "facts quiet" }, notes.join("; ")));
}

// --- histograms ------------------------------------------------------------------------------

const figure3 = (value) => Number(value.toPrecision(3)).toLocaleString("en");

function histogramOf(one) {
  const title = el("figcaption", {}, el("strong", {}, one.title), `, ${one.unit}`);
  const unknown = one.unknown ? `; ${one.unknown.toLocaleString("en")} not known` : "";
  if (!one.counts.length) return el("figure", {}, title, el("p", { class: "quiet" }, `none known${unknown}`));
  const range = `median ${figure3(one.median)}, ${figure3(one.least)} to ${figure3(one.greatest)}`;
  const said = (one.least === one.greatest ? `all ${figure3(one.least)}` : range) + unknown;
  const most = Math.max(...one.counts);
  const bars = one.counts.map((count, k) => {
    const bar = { x: k + 0.04, width: 0.92, y: most - count, height: count };
    const span = `${one.edges[k]} to ${one.edges[k + 1]}: ${many(count, "sample")}`;
    return svg("rect", bar, svg("title", {}, span));
  });
  const frame = { viewBox: `0 0 ${bars.length} ${most}`, preserveAspectRatio: "none", role: "img" };
  const chart = svg("svg", { ...frame, "aria-label": `${one.title}, ${one.unit}: ${said}` }, ...bars);
  const ends = [one.edges[0], one.edges[one.edges.length - 1]].map((edge) => el("span", {}, String(edge)));
  return el("figure", {}, title, chart, el("div", { class: "axis" }, ends[0], el("span", {}, said), ends[1]));
}

// --- facts and tables ------------------------------------------------------------------------

function tableOf(heads, rows, numbers = []) {
  const cell = (name) => (text, k) => el(name, numbers.includes(k) ? { class: "number" } : {}, text);
  const body = rows.map((row) => el("tr", {}, ...row.map(cell("td"))));
  const head = el("thead", {}, el("tr", {}, ...heads.map(cell("th"))));
  return el("div", { class: "scroll", tabindex: "0" }, el("table", {}, head, el("tbody", {}, ...body)));
}

function foldedOf(title, told, heads, { open = false, numbers = [], name = "" } = {}) {
  if (!told.count) return "";
  const rest = told.count - told.rows.length;
  const more = rest ? [el("p", { class: "quiet" }, `and ${rest.toLocaleString("en")} more${told.rest_samples ?? ""}`)] : [];
  const summary = el("summary", {}, title, " ", el("span", { class: "quiet" }, told.count.toLocaleString("en")));
  const folded = el("details", { class: name }, summary, tableOf(heads, told.rows, numbers), ...more);
  folded.open = open;
  return folded;
}

function sectionOf(one, id) {
  const facts = one.facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  const section = el("section", { id }, el("h2", {}, one.name), el("dl", {}, ...facts));
  const heads = ["split", "samples", "shards", "sources", "size", ""];
  section.append(tableOf(heads, one.splits, [1, 2, 3, 4]));
  section.append(foldedOf("Cannot be shown", one.gaps, ["where", "why"], { open: true, name: "wrong" }));
  if (one.histograms.length) {
    section.append(
      el("h3", {}, "Motion"),
      el("p", { class: "quiet small" }, `Over ${one.measured}.`),
      el("div", { class: "histograms" }, ...one.histograms.map(histogramOf)));
  }
  if (one.cards.length) {
    const legend = one.cards[0].arrow
      ? `Of video only the mean motion from the first frame to the last is known: the arrow is ${ARROW_SCALE} times as long.`
      : "Each line is the path of a point of the scene over the exposure; its dot is where the point lies in the frame that is shown.";
    section.append(
      el("h3", {}, "Samples"),
      el("p", { class: "quiet small" }, `${one.cards.length} drawn. ${legend}`),
      el("div", { class: "cards" }, ...one.cards.map(cardOf)));
  }
  section.append(
    foldedOf("Sources", one.sources, ["source", "samples", "split"], { numbers: [1] }),
    foldedOf("Left out", one.failures, ["source", "reason"], { open: true }),
    foldedOf("Options", one.options, ["option", "value"]));
  return section;
}

// --- the page --------------------------------------------------------------------------------

function begin() {
  const { data_sets: dataSets, drawn, most_frames: mostFrames } = content;
  document.getElementById("drawn").textContent =
    `${many(dataSets.length, "data set")}. ${drawn}; of each, at most ${mostFrames} frames.`;
  const ids = dataSets.map((_, k) => `data-set-${k + 1}`);
  if (ids.length > 1) {
    const links = dataSets.map((one, k) => el("a", { href: `#${ids[k]}` }, one.name));
    document.getElementById("contents").append(...links);
  }
  document.title = `${dataSets.map((one) => one.name).join(", ")} - motion-blur data`;
  document.getElementById("data-sets").replaceChildren(...dataSets.map((one, k) => sectionOf(one, ids[k])));
  document.getElementById("show-paths").addEventListener("change", (event) =>
    document.body.classList.toggle("hide-paths", !event.target.checked));
  const playAll = document.getElementById("play-all");
  playAll.addEventListener("click", () => {
    const playing = playAll.getAttribute("aria-pressed") !== "true";
    playAll.setAttribute("aria-pressed", playing);
    playAll.textContent = playing ? "Pause all" : "Play all";
    for (const player of players) player.play(playing);
  });
  document.getElementById("tools").hidden = !players.length;
}

begin();

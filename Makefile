# make demo: everything once, on procedural input.   make test: the tests.
# Both make their own virtual environment in .venv and install into it.
# EXTRAS=test,dask,ray installs what the tests of clusters need; BLUR_TESTS=all lets no test be skipped
# for want of a package or a program.
PYTHON ?= python3
EXTRAS ?= test
VENV ?= .venv
BIN = $(VENV)/bin
DEMO = demo

.PHONY: install test demo clean
.DELETE_ON_ERROR:

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]"
	@$(BIN)/python -c "import cv2" || { echo "OpenCV lacks system libraries: apt-get install libgl1 libglib2.0-0"; exit 1; }
	touch $@

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

demo: install
	rm -rf $(DEMO)
	$(BIN)/blursynth sources --out $(DEMO)/sources
	$(BIN)/blursynth panorama --src $(DEMO)/sources/sun360 --out $(DEMO)/shards --samples-per-shard 64
	$(BIN)/blursynth gopro --src $(DEMO)/sources/gopro --out $(DEMO)/shards --n 7 --crop 128
	$(BIN)/blursynth info $(DEMO)/shards
	$(BIN)/blursynth view $(DEMO)/shards --out $(DEMO)/view.html
	$(BIN)/blurvid train --shards $(DEMO)/shards --out $(DEMO)/run \
	    --width 8 --crop 64 --steps 120 --lr 1e-3 --order canonical --validate-every 60 --validate-samples 6
	$(BIN)/blurvid evaluate --checkpoint $(DEMO)/run/best.safetensors --shards $(DEMO)/shards \
	    --limit 12 --out $(DEMO)/evaluation
	mkdir -p $(DEMO)/held-out
	tar -xf $(DEMO)/shards/panorama/test/panorama-test-000000.tar -C $(DEMO)/held-out
	$(BIN)/blurvid restore $(DEMO)/held-out/*-000003.blur.png \
	    --checkpoint $(DEMO)/run/best.safetensors --out $(DEMO)/restored --gif
	@echo
	@echo "Look at:"
	@ls -d $(DEMO)/sources/sun360/*.jpg | head -n 1
	@ls $(DEMO)/view.html $(DEMO)/shards/*/train/contact-sheet.png
	@ls -d $(DEMO)/run/samples/*.png | tail -n 1
	@ls $(DEMO)/evaluation/*.txt
	@find $(DEMO)/restored -name '*.png' -o -name '*.webp' -o -name '*.gif' | sort

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info

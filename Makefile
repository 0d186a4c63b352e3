# `make help` lists the targets. VENV may lie outside the checkout, so that
# several clones share one environment (7 GB).
VENV ?= .venv
UPSTREAM_VENV ?= .venv-upstream
PYTHON ?= python3
DEMO := work_dirs/demo
DEMO_CONFIG := configs/demo/resnet10_1xb64_fashion-mnist.py
PRETRAINING := resnet18-slim_1xb64_fashion-mnist
TRANSFER := work_dirs/transfer
SYSTEMS := atss upernet
SEEDS := 1
comma := ,
# Config and work dir of a system; the second argument names its pretraining.
FINE_TUNED = configs/demo/$(1)_resnet18-slim_1xb8_fashion-scenes.py \
    "$(TRANSFER)/$(1)_resnet18-slim_1xb8_fashion-scenes$(2)/seed0"
DEVICE := cpu
REPRODUCE := work_dirs/reproduce/mini
EXPERIMENTS := table3

PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --progress-bar off -c requirements/constraints.txt
UPSTREAM_PIP := $(UPSTREAM_VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off \
    -c requirements/constraints-upstream.txt
# Checks for packages without importing them, which takes seconds.
HAS := $(PY) -c 'import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))'
# Run this checkout, also in a shared environment.
export PYTHONPATH := $(CURDIR)

.PHONY: help env env-full demo benchmark reproduce-mini figures transfer scenes test test-slow test-install env-upstream test-upstream crash-test docs docs-links lint format clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(PY):
	$(PYTHON) -m venv $(VENV)

# As root on Debian, e.g. in a container, apt-get installs the data;
# DATA_FLAGS= skips this.
DATA_FLAGS ?= --install-package
BY_HAND := To run the tools yourself: source $(VENV)/bin/activate && export PYTHONPATH=$(CURDIR)

# torch takes minutes (2.5 GB of downloads), the rest seconds: classification
# needs no compiled operators, so mmcv is built without them.
env: $(PY)  ## Create the environment for training: torch, mmengine, mmcv (pure Python), mmpretrain
	@$(HAS) torch torchvision mmengine mmcv mmpretrain matplotlib || { \
	    echo "Installing torch and the mm packages into $(VENV): about 5 minutes …"; \
	    $(PIP) setuptools wheel ninja psutil packaging numpy torch torchvision && \
	    $(PIP) onedl-mmengine onedl-mmpretrain onedl-mmcv -r requirements/runtime.txt && echo "$(BY_HAND)"; }

# pip caches a wheel without operators under the same name, hence
# --no-cache-dir; the import checks that the operators exist.
env-full: env  ## Create the full environment: mmcv with operators, mmdet, mmseg, tools for tests and docs
	@$(PY) -c 'import mmcv.ops' 2>/dev/null || { \
	    echo "Installing mmcv with compiled operators: about 10 minutes if it has to be built …"; \
	    CFLAGS=-g0 MAX_JOBS=$$(nproc) $(PIP) --no-build-isolation --no-cache-dir --force-reinstall --no-deps onedl-mmcv && \
	    $(PY) -c 'import mmcv.ops'; }
	@$(HAS) mmdet mmseg || $(PIP) -r requirements/onedl.txt
	@$(HAS) pytest xdist hypothesis ruff pandas scipy psutil jinja2 modelindex onnx skimage pytorch_grad_cam tensorboard playwright check_jsonschema || $(PIP) -r requirements/tests.txt
	@$(HAS) sphinx myst_parser furo || $(PIP) -r requirements/docs.txt

demo: env  ## Train RecursiveMix on Fashion-MNIST, evaluate, plot
	$(PY) tools/dataset_tools/prepare_fashion_mnist.py $(DATA_FLAGS)
	$(PY) tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO)
	$(PY) tools/test.py $(DEMO_CONFIG) $$(cat $(DEMO)/last_checkpoint) --work-dir $(DEMO) --out $(DEMO)/metrics.json
	$(PY) tools/visualization/browse_mix.py $(DEMO_CONFIG) --out $(DEMO)/mixed_batch.png
	$(PY) tools/analysis_tools/plot_curves.py $(DEMO) --out $(DEMO)/curves.png
	@echo "Done: log, checkpoints, metrics.json, mixed_batch.png and curves.png are in $(DEMO)."
	@echo "$(BY_HAND)"

scenes: env-full  ## Build the fashion scenes in data/fashion_scenes if they are missing
	$(PY) tools/dataset_tools/prepare_fashion_mnist.py $(DATA_FLAGS)
	test -d data/fashion_scenes || $(PY) tools/dataset_tools/make_fashion_scenes.py

# Run the same command again to resume after an interruption.
transfer: scenes  ## Pretrain with RecursiveMix, fine-tune ATSS and UperNet, compare with training from scratch
	$(PY) lab/reproduce.py run table7 table8 table9 --groups $(SYSTEMS) --rows "from scratch" RM --seeds $(SEEDS) \
	    --out $(TRANSFER)
	$(PY) tools/visualization/browse_scenes.py --out $(TRANSFER)/predictions.png --num-scenes 4 \
	    $(foreach system,$(SYSTEMS),\
	    --model "$(system), from scratch" $(call FINE_TUNED,$(system),) \
	    --model "$(system), after RM" $(call FINE_TUNED,$(system),$(comma)from=$(PRETRAINING)))
	@echo "Done: report.html, predictions.png and the runs are in $(TRANSFER)."

benchmark: env-full  ## Measure the cost of RecursiveMix (12 minutes) and write docs/benchmarks.md; DEVICE=cuda for GPUs
	$(PY) lab/benchmark.py --device $(DEVICE) --out docs

# Run the same command again to resume after an interruption or a kill.
reproduce-mini: env-full  ## Reproduce Table 3 at mini scale on 2 CPU cores, 5 seeds (75 minutes); EXPERIMENTS="…" for others
	$(PY) tools/dataset_tools/prepare_fashion_mnist.py $(DATA_FLAGS)
	$(PY) lab/reproduce.py run $(EXPERIMENTS) --seeds 5 --out $(REPRODUCE)
	@echo "Done: open $(REPRODUCE)/report.html in a browser."

figures: demo transfer  ## Regenerate the pictures of README and docs
	mkdir -p docs/images
	for what in baseline cutmix; do test -f work_dirs/demo_$$what/epoch_4.pth || $(PY) tools/train.py \
	    configs/demo/resnet10_1xb64-$${what}_fashion-mnist.py --work-dir work_dirs/demo_$$what --resume || exit; done
	$(PY) tools/visualization/browse_scenes.py --out docs/images/scenes.png
	$(PY) tools/visualization/browse_mix.py $(DEMO_CONFIG) --iterations 1 2 3 4 --seed 37 --out docs/images/recursion.png
	$(PY) tools/visualization/vis_cam.py --mixed 4 --out docs/images/cam.png \
	    --model baseline configs/demo/resnet10_1xb64-baseline_fashion-mnist.py work_dirs/demo_baseline \
	    --model CutMix configs/demo/resnet10_1xb64-cutmix_fashion-mnist.py work_dirs/demo_cutmix \
	    --model RecursiveMix $(DEMO_CONFIG) $(DEMO)
	$(PY) tools/analysis_tools/effective_classes.py --out work_dirs/effective_classes.png
	cp $(DEMO)/mixed_batch.png $(DEMO)/curves.png $(TRANSFER)/predictions.png work_dirs/effective_classes.png docs/images/

test: env-full  ## Run the tests (under 12 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal

# Upstream OpenMMLab and the forks share import names, so each needs its own
# environment. mmcv is built (10 minutes) unless pip finds a wheel.
env-upstream:  ## Create the environment of upstream OpenMMLab with torch 2.1, in UPSTREAM_VENV
	@test -x $(UPSTREAM_VENV)/bin/python || $(PYTHON) -m venv $(UPSTREAM_VENV)
	@$(UPSTREAM_VENV)/bin/python -c 'import mmcv.ops, mmdet, mmseg, mmpretrain, pytest' 2>/dev/null || { \
	    $(UPSTREAM_PIP) setuptools wheel ninja psutil packaging numpy torch torchvision opencv-python && \
	    CFLAGS=-g0 MAX_JOBS=$$(nproc) $(UPSTREAM_PIP) --no-build-isolation mmcv && \
	    $(UPSTREAM_PIP) -r requirements/mminstall.txt -r requirements/runtime.txt -r requirements/tests.txt; }

test-upstream: env-upstream  ## Run the tests with upstream OpenMMLab and install the wheel there
	OMP_NUM_THREADS=1 $(UPSTREAM_VENV)/bin/python -m pytest -n 2 --dist worksteal
	OMP_NUM_THREADS=1 $(UPSTREAM_VENV)/bin/python -m pytest -m install tests/test_install.py -k wheel

test-slow: env-full  ## Run the tests that take minutes each
	$(PY) -m pytest -m slow

# Wheel, sdist, `pip install .` and `pip install -e .`, each in its own
# environment that shares torch and the mm packages with this one.
test-install: env-full  ## Build the package, install it in clean environments, test configs, tools and mim there
	OMP_NUM_THREADS=1 $(PY) -m pytest -m install tests/test_install.py

crash-test: env-full  ## Kill the demo 20 times (10 times with two processes), resume it, compare the results
	rm -rf work_dirs/crash_test work_dirs/crash_test.md
	$(PY) lab/crash_test.py $(DEMO_CONFIG) --kills 20 --out work_dirs/crash_test.md --cfg-options \
	    custom_hooks.0.reset=None train_cfg.max_epochs=12 train_dataloader.dataset.indices=3200 \
	    val_dataloader.dataset.indices=1000 default_hooks.logger.interval=10
	$(PY) lab/crash_test.py configs/demo/resnet10_1xb64-2k_fashion-mnist.py --processes 2 --kills 10 \
	    --out work_dirs/crash_test.md --cfg-options train_cfg.max_iters=600 train_cfg.val_interval=150 \
	    val_dataloader.dataset.indices=1000 default_hooks.checkpoint.interval=40 default_hooks.logger.interval=10
	@echo "The tables are in work_dirs/crash_test.md."

docs: env-full  ## Build the documentation site in docs/_build/html
	$(PY) -m sphinx -W -n --keep-going -q -c docs -d docs/_build/doctrees . docs/_build/html
	@echo "Done: docs/_build/html/index.html"

docs-links: env-full  ## Check the external links of the docs
	$(PY) -m sphinx -b linkcheck -q -c docs -d docs/_build/doctrees . docs/_build/links

lint: env-full  ## Check style, formatting, Dockerfile and workflow
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/hadolint docker/Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*_*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

format: env-full  ## Reformat the sources
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:  ## Remove work dirs and build files; keep the environment and the data
	rm -rf work_dirs build dist docs/_build *.egg-info .pytest_cache .ruff_cache .hypothesis

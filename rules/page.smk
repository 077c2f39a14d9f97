"""What the pages of all studies share: look, command, target."""

CONFIG_FILES = [
    os.path.relpath(f) for f in workflow.overwrite_configfiles or [CONFIG_FILE]
]
COMMAND = f"snakemake --cores all --configfile {' '.join(CONFIG_FILES)}"
# the script finds them beside its own library; here, a change of them writes the page again
PAGE_LOOK = [
    find_file(f"src/uprung/report/{name}", FOLDERS, key="report")
    for name in ("page.html.j2", "style.css")
]


rule report:
    """The report page."""
    input:
        "<results>/report.html",

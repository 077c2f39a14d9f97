"""What the pages of all studies share: template, command, target."""

CONFIG_FILES = [
    os.path.relpath(f) for f in workflow.overwrite_configfiles or [CONFIG_FILE]
]
SHOWN_TABLES = (
    *("laws", "parameters", "comparison", "bands", "extrapolation", "labels"),
    *("crossover", "multiplier", "multiplier_curve"),
)

TEMPLATE, STYLE = (
    find_file(f"src/uprung/report/{name}", FOLDERS, key="report")
    for name in ("page.html.j2", "style.css")
)


rule report:
    """The report page."""
    input:
        "<results>/report.html",

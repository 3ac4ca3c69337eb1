// The arrows of the table of contents are drawn without a name.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
    arrow.setAttribute("aria-label", "Show or hide the pages of this section");
  }
});

// Tables whose columns hold numbers are sorted by a click on a heading; nothing is fetched for it.
document$.subscribe(() => {
  for (const table of document.querySelectorAll(".sortable table")) {
    const body = table.tBodies[0];
    table.tHead.querySelectorAll("th").forEach((heading, column) => {
      const button = document.createElement("button");
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        table.tHead.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const value = (row) => row.cells[column].textContent.trim();
        const order = new Intl.Collator(undefined, { numeric: true });
        const compare = (a, b) => {
          const [x, y] = [parseFloat(value(a)), parseFloat(value(b))];
          return Number.isNaN(x) || Number.isNaN(y) ? order.compare(value(a), value(b)) : x - y;
        };
        body.append(...[...body.rows].sort((a, b) => (up ? compare(a, b) : compare(b, a))));
      });
    });
  }
});

// The theme's search is a dialog without a name, which screen readers miss.
document$.subscribe(() => document.querySelector("[data-md-component=search]")?.setAttribute("aria-label", "Search"));

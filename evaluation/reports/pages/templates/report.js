(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  // The interpreter of expressions, for the page allows no code that is made from text.
  const options = { actions: false, renderer: "svg", ast: true, tooltip: { theme: "custom" } };
  Promise.all(
    Object.entries(figures).map(([id, spec]) => {
      const place = document.getElementById(id);
      return place ? window.vegaEmbed(place, spec, options) : null;
    }),
  ).then(() => {
    document.documentElement.dataset.charts = "drawn";
  });

  for (const table of document.querySelectorAll("table")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const compare = (one, other) => {
          const [a, b] = [key(one), key(other)];
          if (a === "" || b === "") return (a === "") - (b === "");
          const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
          return falling ? -order : order;
        };
        table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
      });
    });
  }

  // A printed page shows all of it.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
})();

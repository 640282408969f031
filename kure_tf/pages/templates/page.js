for (const table of document.querySelectorAll("table:not(.prose)")) {
  const cells = row => [...row.cells].map(cell => cell.textContent.trim());
  const rows = [...table.rows], body = table.tBodies[0];
  const csv = rows.map(row => cells(row).map(
    text => `"${text.replaceAll('"', '""')}"`).join()).join("\n");
  const link = document.createElement("a");
  link.textContent = "CSV";
  link.download = "table.csv";
  link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(csv);
  table.parentNode.after(link);
  [...rows[0].cells].forEach((head, column) => {
    let sign = 1;
    head.onclick = () => {
      table.classList.add("sorted");
      const key = row => cells(row)[column].replaceAll(",", "");
      rows.slice(1).sort((a, b) => sign * (
        parseFloat(key(a)) - parseFloat(key(b)) ||
        key(a).localeCompare(key(b)))).forEach(row => body.append(row));
      sign = -sign;
    };
  });
}
const tip = document.body.appendChild(document.createElement("output"));
for (const plot of document.querySelectorAll("figure svg"))
  plot.onmousemove = plot.onmouseleave = event => {
    let near = 15;
    tip.textContent = "";
    for (const title of plot.querySelectorAll("use > title")) {
      const box = title.parentNode.getBoundingClientRect();
      const far = Math.hypot(event.clientX - box.x - box.width / 2,
        event.clientY - box.y - box.height / 2);
      if (far < near) { near = far; tip.textContent = title.textContent; }
    }
    tip.style.left = Math.min(event.pageX + 12, innerWidth - 300) + "px";
    tip.style.top = event.pageY + 14 + "px";
  };

fetch("/api/v1/admin/stats")
  .then((answer) => answer.text())
  .then((text) => (document.getElementById("stats").textContent = text));

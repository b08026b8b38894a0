// Sends the forms of the docs page, and shows the answers.
(() => {
  "use strict";
  const base = new URL(document.currentScript.src).pathname.replace(/\/docs\.js$/, "");

  // indented writes JSON over several lines and leaves every character of its values as it
  // is: parsing it would round large numbers.
  function indented(text) {
    let out = "", depth = 0, quoted = false;
    const line = () => "\n" + "  ".repeat(depth);
    for (let i = 0; i < text.length; i++) {
      const c = text[i];
      if (quoted) {
        out += c;
        if (c === "\\") out += text[++i] ?? "";
        else if (c === '"') quoted = false;
        continue;
      }
      if (c === '"') { quoted = true; out += c; }
      else if (c === "{" || c === "[") {
        const close = text.slice(i + 1).match(/^\s*[}\]]/);
        if (close) { out += c + close[0].trim(); i += close[0].length; }
        else { depth++; out += c + line(); }
      }
      else if (c === "}" || c === "]") { depth--; out += line() + c; }
      else if (c === ",") out += c + line();
      else if (c === ":") out += ": ";
      else if (!/\s/.test(c)) out += c;
    }
    return out;
  }

  async function send(form) {
    let path = form.dataset.path, body, type;
    const query = new URLSearchParams();
    for (const field of form.elements) {
      const value = field.value;
      switch (field.dataset.in) {
        case "path": path = path.replace("{" + field.name + "}", encodeURIComponent(value)); break;
        case "query": if (value !== "") query.append(field.name, value); break;
        case "body": if (value.trim() !== "") { body ??= value; type ??= "application/json"; } break;
        case "file": if (field.files.length > 0) { body = field.files[0]; type = field.dataset.type; } break;
      }
    }
    const url = base + path + (query.size > 0 ? "?" + query : "");
    const answer = await fetch(url, { method: form.dataset.method, body, headers: type ? { "Content-Type": type } : {} });
    const text = await answer.text();
    const json = /json$|json;/.test(answer.headers.get("Content-Type") ?? "");
    return [form.dataset.method + " " + url, answer.status + " " + answer.statusText, json ? indented(text) : text];
  }

  for (const form of document.querySelectorAll(".try form")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const output = form.querySelector("output");
      let parts;
      try {
        parts = await send(form);
      } catch (error) {
        parts = ["No answer: " + error.message];
      }
      output.replaceChildren(...parts.map((text) => {
        const pre = document.createElement("pre");
        pre.tabIndex = 0;
        pre.textContent = text;
        return pre;
      }));
    });
  }
})();

// The REST API's page: lists the operations of openapi.json and sends them with the token given.
(() => {
  "use strict";

  const list = document.querySelector("#api-operations");
  const words = list.dataset;
  let number = 0;

  function resolve(api, schema) {
    const name = schema?.$ref?.split("/").pop();
    return name ? api.components.schemas[name] : schema ?? {};
  }

  // What a body may look like: the schema's own example, or a value of each property's type.
  function example(api, given) {
    const schema = resolve(api, given);
    if (schema.example !== undefined) return schema.example;
    if (schema.enum) return schema.enum[0];
    if (schema.type === "array") return [example(api, schema.items)];
    if (schema.properties) {
      const parts = Object.entries(schema.properties);
      return Object.fromEntries(parts.map(([name, part]) => [name, example(api, part)]));
    }
    return { integer: 0, number: 0, boolean: false }[[schema.type].flat()[0]] ?? "";
  }

  function field(form, { label, hint, name, place, control = "input", value = "", required = false }) {
    const node = document.querySelector("#api-field").content.firstElementChild.cloneNode(true);
    const input = document.createElement(control);
    input.className = "input";
    input.id = `api-field-${(number += 1)}`;
    input.dataset.name = name;
    input.dataset.place = place;
    input.required = required;
    input.value = value;
    if (control === "textarea") input.rows = 8;
    node.querySelector("label").textContent = label;
    node.querySelector("label").htmlFor = input.id;
    node.querySelector("label").after(input);
    node.querySelector(".hint").textContent = hint ?? "";
    form.querySelector("[data-fields]").append(node);
  }

  function request(path, method, form) {
    const headers = { Accept: "application/json" };
    const token = document.querySelector("#api-token-value").value.trim();
    if (token) headers.Authorization = `Bearer ${token}`;
    const query = new URLSearchParams();
    let url = path;
    let body;
    for (const { value, dataset } of form.querySelectorAll("[data-place]")) {
      if (dataset.place === "path") url = url.replace(`{${dataset.name}}`, encodeURIComponent(value));
      if (!value) continue;
      if (dataset.place === "query") query.append(dataset.name, value);
      if (dataset.place === "header") headers[dataset.name] = value;
      if (dataset.place === "body") {
        body = value;
        headers["Content-Type"] = "application/json";
      }
    }
    const address = query.size ? `${url}?${query}` : url;
    return [address, { method: method.toUpperCase(), headers, body, credentials: "omit" }];
  }

  function pretty(text) {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  }

  async function send(node, path, method) {
    const status = node.querySelector("[data-status]");
    const answer = node.querySelector("[data-answer]");
    status.textContent = words.waiting;
    try {
      const [address, options] = request(path, method, node.querySelector("form"));
      const response = await fetch(address, options);
      const text = await response.text();
      status.textContent = `${options.method} ${address} → ${response.status} ${response.statusText}`;
      answer.textContent = pretty(text);
      answer.hidden = !text;
    } catch {
      status.textContent = words.failed;
      answer.hidden = true;
    }
  }

  function show(api, path, method, operation) {
    const node = document.querySelector("#api-operation").content.firstElementChild.cloneNode(true);
    const form = node.querySelector("form");
    node.id = operation.operationId;
    node.querySelector("[data-method]").textContent = method.toUpperCase();
    node.querySelector("[data-path]").textContent = path;
    node.querySelector("summary strong").textContent = operation.operationId;
    node.querySelector("summary .muted").textContent = operation.security?.length === 0 ? words.public : "";
    node.querySelector("[data-about]").textContent = [operation.summary, operation.description].filter(Boolean).join(" ");
    form.querySelector("button").textContent = words.send;
    for (const { name, in: place, description, required } of operation.parameters) {
      field(form, { label: name, hint: description, name, place, required });
    }
    const body = operation.requestBody?.content?.["application/json"]?.schema;
    if (body) {
      const value = JSON.stringify(example(api, body), null, 2);
      field(form, { label: words.body, name: "body", place: "body", control: "textarea", value, required: true });
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(node, path, method);
    });
    list.append(node);
  }

  document.querySelector("#api-token").addEventListener("submit", (event) => event.preventDefault());

  fetch(words.source, { credentials: "omit" })
    .then((response) => response.json())
    .then((api) => {
      for (const [path, methods] of Object.entries(api.paths)) {
        for (const [method, operation] of Object.entries(methods)) {
          const parameters = [...(methods.parameters ?? []), ...(operation.parameters ?? [])];
          if (operation.operationId) show(api, path, method, { ...operation, parameters });
        }
      }
    })
    .catch(() => {
      list.textContent = words.failed;
    });
})();

// aTES: one delegated script. Every action works without it; words come from the page's data-* and templates.
(() => {
  "use strict";

  const find = (selector, root = document) => root.querySelector(selector);

  // --- Focus -------------------------------------------------------------------------------------
  // A refused form: its first wrong field. A swap that took the focused control away: the control
  // that now stands in its place, so that focus never falls to <body>.
  function focusFirstError(root) {
    const field = find('[aria-invalid="true"]', root);
    field?.focus();
    return Boolean(field);
  }

  function completeButtons() {
    return [...document.querySelectorAll("[data-complete]")];
  }

  // Remembered before the request, because a button that is disabled meanwhile loses its focus.
  function rememberFocus(ctx) {
    const element = document.activeElement;
    ctx.focus = {
      element,
      row: completeButtons().indexOf(element),
      above: element.closest("tbody.pager")?.previousElementSibling,
    };
  }

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.response?.status === 422 && focusFirstError(document)) return;
    const { element, row, above } = ctx.focus ?? {};
    if (!element || element === document.body || element.isConnected) return;
    if (document.activeElement !== document.body) return;
    const buttons = completeButtons();
    const heir = above
      ? find("a, button", above.nextElementSibling)
      : row >= 0 && buttons[Math.min(row, buttons.length - 1)];
    (heir || find("#main")).focus({ preventScroll: !heir });
  });

  // --- Requests ----------------------------------------------------------------------------------
  // Empty filters stay out of the address.
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    rememberFocus(ctx);
    const { method, body } = ctx.request;
    if (method !== "GET") return;
    for (const [name, value] of [...body]) if (value === "") body.delete(name);
  });

  // An error page never lands inside a row: its title and advice become a toast. A 4xx answer that is
  // not an error page (a form with its errors, the row as it is now) is swapped as usual.
  document.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    const { status, headers } = ctx.response;
    if (status < 400) return;
    const page = new DOMParser().parseFromString(ctx.text, "text/html");
    const title = find("[data-error-title]", page)?.textContent;
    if (!title && status < 500) return;
    event.preventDefault();
    toast({
      title,
      advice: find("[data-error-advice]", page)?.textContent,
      requestId: headers.get("X-Request-ID"),
      source: status >= 500 || status === 429 ? ctx : null,
    });
  });

  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx) toast({ source: event.detail.ctx });
  });

  // --- Toasts ------------------------------------------------------------------------------------
  function toast({ title, advice, requestId, source }) {
    const node = find("#toast-template").content.firstElementChild.cloneNode(true);
    if (title) find("[data-toast-title]", node).textContent = title;
    if (advice) find("[data-toast-advice]", node).textContent = advice;
    find("[data-toast-id]", node).hidden = !requestId;
    find("[data-toast-id] code", node).textContent = requestId ?? "";
    const retry = find("[data-toast-retry]", node);
    retry.hidden = !source;
    retry.addEventListener("click", () => {
      node.remove();
      repeat(source);
    });
    find("#toasts").replaceChildren(node);
  }

  // The same form holds the same idempotency key, so a repeated POST has one effect.
  function repeat({ sourceElement, request }) {
    if (!sourceElement.isConnected) return location.reload();
    if (sourceElement.matches("form")) return sourceElement.requestSubmit(request.submitter ?? null);
    sourceElement.click();
  }

  // --- Clicks and changes ------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-toast-close]");
    if (close) close.closest(".toast").remove();
    const print = event.target.closest("[data-print]");
    if (print) window.print();
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = find("details[data-menu][open]");
    if (!menu) return;
    menu.open = false;
    find("summary", menu).focus();
  });

  // A filter that is not htmx's sends itself when a choice is made.
  document.addEventListener("change", (event) => {
    if (event.target.matches("form[data-auto-submit] select")) event.target.form.requestSubmit();
  });

  // The theme changes at once; the server remembers it.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-theme-form]") || !event.submitter) return;
    event.preventDefault();
    const body = new FormData(form, event.submitter);
    document.documentElement.dataset.theme = event.submitter.value;
    for (const button of form.elements) {
      if (button.name === "theme") button.setAttribute("aria-pressed", String(button === event.submitter));
    }
    fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => toast({}));
  });

  // --- What has changed meanwhile ----------------------------------------------------------------
  // Asks every 3 s while someone is at the page, every minute when nobody is, and never while it is
  // hidden. Nothing new is a 304. Today's money is renewed; changed tasks are told, not moved.
  const ACTIVE_MS = 3000;
  const IDLE_MS = 60000;
  let lastSignOfLife = Date.now();

  function keepFresh(live) {
    let known = { tasks: live.dataset.tasks, money: live.dataset.money };
    let timer;
    const later = (failed) => {
      const isIdle = failed || Date.now() - lastSignOfLife > IDLE_MS;
      clearTimeout(timer);
      timer = setTimeout(ask, isIdle ? IDLE_MS : ACTIVE_MS);
    };
    async function ask() {
      if (document.hidden) return;
      try {
        const headers = { "If-None-Match": `"${known.tasks}-${known.money}"` };
        const answer = await fetch(live.dataset.live, { headers, cache: "no-store", redirect: "error" });
        if (answer.status === 200) tell(await answer.json());
        later(!answer.ok && answer.status !== 304);
      } catch {
        later(true);
      }
    }
    function tell(now) {
      if (String(now.money) !== String(known.money)) {
        htmx.ajax("GET", live.dataset.earnings, { target: "#earnings", swap: "outerHTML" });
      }
      if (now.tasks !== known.tasks && !find(".notice", live)) {
        live.append(find("template", live).content.cloneNode(true));
      }
      known = now;
    }
    document.addEventListener("visibilitychange", ask);
    later(false);
  }

  for (const sign of ["pointerdown", "keydown", "focusin", "scroll"]) {
    document.addEventListener(sign, () => (lastSignOfLife = Date.now()), { passive: true });
  }

  document.addEventListener("DOMContentLoaded", () => {
    focusFirstError(document);
    const live = find("[data-live]");
    if (live) keepFresh(live);
  });
  document.documentElement.dataset.scripted = "";
})();

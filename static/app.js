// aTES: one delegated script. Every action works without it; words come from the page's data-* and templates.
(() => {
  "use strict";

  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (words) => (find("#status").textContent = words);

  // --- Focus -------------------------------------------------------------------------------------
  // A refused form: its first wrong field. A swap that took the focused control away: the control
  // that now stands in its place, so that focus never falls to <body>.
  function focusFirstError(root) {
    const field = find('[aria-invalid="true"]', root);
    field?.focus();
    return Boolean(field);
  }

  // A search line that is not understood stays as it is; what is wrong with it stands in the list.
  function markWrongLine() {
    for (const line of all("main [type=search]")) {
      const error = find(`[data-error-of="${line.id}"] [id]`);
      for (const [name, value] of [["aria-invalid", "true"], ["aria-describedby", error?.id]]) {
        if (error) line.setAttribute(name, value);
        else line.removeAttribute(name);
      }
    }
  }

  // What stands in for a script, in the page and in what a swap brought.
  const dropUnscripted = () => all("noscript, .sure").forEach((element) => element.remove());

  const completeButtons = () => all("[data-complete]");

  // Remembered before the request, because a button that is disabled meanwhile loses its focus.
  function rememberFocus(ctx) {
    const element = document.activeElement;
    ctx.focus = {
      element,
      row: completeButtons().indexOf(element),
      above: element.closest("tbody.pager")?.previousElementSibling,
    };
  }

  // A field that somebody made larger has a style of the browser's, which htmx would write into the
  // page that comes: the policy for contents refuses that.
  document.addEventListener("htmx:before:swap", () => {
    for (const element of all("main [style][id]")) element.removeAttribute("style");
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    dropUnscripted();
    bringDraftsBack();
    markWrongLine();
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
    if (status < 400) return isWatched(ctx) ? found() : forgetTakenDraft();
    if (ctx.quiet) return leaveStale(event);
    if (status >= 500 && isWatched(ctx)) return askAgain(event);
    const page = new DOMParser().parseFromString(ctx.text, "text/html");
    const title = find("[data-error-title]", page)?.textContent;
    if (!title && status < 500) return;
    event.preventDefault();
    toast({
      title,
      advice: find("[data-error-advice]", page)?.textContent,
      requestId: headers.get("X-Request-ID"),
      source: status >= 500 || status === 429 ? ctx : null,
      isOld: Boolean(find("[data-error-old]", page)),
    });
  });

  // What a page still waits for when it is left fails in some browsers: that is no news.
  let isLeaving = false;
  window.addEventListener("beforeunload", () => {
    isLeaving = true;
    setTimeout(() => (isLeaving = false), 10000); // a download leaves nothing
  });

  document.addEventListener("htmx:error", (event) => {
    if (isLeaving) return;
    const { ctx } = event.detail;
    if (ctx?.quiet) return leaveStale(event);
    if (ctx && isWatched(ctx)) return lose();
    if (ctx) toast({ source: ctx });
  });

  // Long work asks again by itself, but not in a hidden tab.
  const isWatched = ({ sourceElement }) => sourceElement?.matches("[data-progress]");

  function askAgain(event) {
    event.preventDefault();
    lose();
  }

  document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden && isWatched(event.detail.ctx)) event.preventDefault();
  });

  // A slow answer is shown as such: of htmx's requests, and of forms that load a new page.
  const SLOW_MS = 2500;
  const awaited = new Map();

  function await_(request) {
    awaited.set(request, setTimeout(() => showWaiting(true), SLOW_MS));
  }

  function arrived(request) {
    clearTimeout(awaited.get(request));
    awaited.delete(request);
    if (!awaited.size) showWaiting(false);
  }

  function showWaiting(isSlow) {
    const line = find("#waiting");
    line.textContent = isSlow ? line.dataset.words : "";
  }

  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => ctx.quiet || await_(ctx));
  document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => arrived(ctx));
  document.addEventListener("submit", (event) => event.defaultPrevented || await_(event.target));
  // A page that a browser keeps aside is out of sight from then on, and asked for anew when it comes
  // back: its session may have ended since.
  window.addEventListener("pagehide", ({ persisted }) => (document.documentElement.hidden = persisted));
  window.addEventListener("pageshow", ({ persisted }) => (persisted ? location.reload() : [...awaited.keys()].forEach(arrived)));

  // --- Toasts ------------------------------------------------------------------------------------
  function toast({ title, advice, requestId, source, isOld, link }) {
    const node = find("#toast-template").content.firstElementChild.cloneNode(true);
    if (title) find("[data-toast-title]", node).textContent = title;
    if (advice) find("[data-toast-advice]", node).textContent = advice;
    find("[data-toast-id]", node).hidden = !requestId;
    find("[data-toast-id] code", node).textContent = requestId ?? "";
    find("[data-toast-reload]", node).hidden = !isOld;
    find("[data-toast-link]", node).hidden = !link;
    if (link) find("[data-toast-link]", node).href = link;
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

  // --- Drafts ------------------------------------------------------------------------------------
  // What is typed into a form that names its draft is kept in this tab, for this person, until an
  // answer says that it was taken. Never a password; nothing after signing out.
  const person = document.body.dataset.person;
  const keyOfDraft = (form) => `draft:${person}:${form.elements.draft.value}`;
  const typedFields = (form) =>
    [...form.elements].filter((field) => field.name && field.matches("select, textarea, input[type=text], input[type=email]"));

  function forgetDrafts(isOurs) {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith("draft:") && !isOurs(key)) sessionStorage.removeItem(key);
  }

  function forgetTakenDraft() {
    const taken = document.cookie.match(/(?:^|; )draft-taken=([a-z0-9-]+)/)?.[1];
    if (!taken || !person) return;
    sessionStorage.removeItem(`draft:${person}:${taken}`);
    document.cookie = "draft-taken=; path=/; max-age=0";
  }

  document.addEventListener("input", ({ target: { form } }) => {
    if (!person || !form?.elements.draft) return;
    const values = Object.fromEntries(typedFields(form).map((field) => [field.name, field.value]));
    if (typedFields(form).some(isChanged)) sessionStorage.setItem(keyOfDraft(form), JSON.stringify(values));
    else sessionStorage.removeItem(keyOfDraft(form));
  });

  // Text that is longer than its field makes it larger, where the style alone does not.
  const grows = !CSS.supports("field-sizing", "content");
  function grow(field) {
    while (grows && field.matches("textarea") && field.scrollHeight > field.clientHeight && field.rows < 12) field.rows += 1;
  }
  document.addEventListener("input", ({ target }) => grow(target));

  function isChanged(field) {
    if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected);
    return field.defaultValue !== undefined && field.value.trim() !== field.defaultValue.trim();
  }

  // A form that came back with its errors holds what was typed itself.
  function bringDraftsBack() {
    for (const { form } of all("input[name=draft]")) {
      const kept = person && sessionStorage.getItem(keyOfDraft(form));
      if (!kept || typedFields(form).some(isChanged) || find("[aria-invalid]", form)) continue;
      fill(form, JSON.parse(kept));
      const notice = find("#draft-template").content.firstElementChild.cloneNode(true);
      find("[data-draft-drop]", notice).addEventListener("click", () => dropDraft(form, notice, kept));
      form.prepend(notice);
    }
  }

  function fill(form, values) {
    for (const field of typedFields(form)) if (field.name in values) field.value = values[field.name];
    form.closest("details")?.setAttribute("open", "");
    typedFields(form).forEach(grow);
  }

  // Dropping it can be undone: a second press brings it back.
  function dropDraft(form, notice, kept) {
    const isDropped = notice.toggleAttribute("data-dropped");
    if (isDropped) {
      form.reset();
      sessionStorage.removeItem(keyOfDraft(form));
    } else {
      fill(form, JSON.parse(kept));
      sessionStorage.setItem(keyOfDraft(form), kept);
    }
    for (const words of all("[data-when-dropped]", notice)) words.hidden = (words.dataset.whenDropped === "yes") !== isDropped;
  }

  // --- Dialogs -----------------------------------------------------------------------------------
  function open(dialog) {
    const isThere = (selector) => all(selector).some((element) => element.checkVisibility());
    for (const line of all("[data-needs]", dialog)) line.hidden = !isThere(line.dataset.needs);
    const menu = document.activeElement.closest("details[data-menu]");
    if (menu) closeMenu(menu);
    dialog.showModal();
  }

  function closeMenu(menu) {
    menu.open = false;
    find("summary", menu).focus();
  }

  // What cannot be undone says what it will do, and asks once more; with data-confirm-if, where the
  // form holds one of those values. Where the server asks too, the button is called is_sure.
  const confirmed = new WeakSet();
  const isAsked = (form, submitter) =>
    submitter?.dataset.confirmIf?.trim().split(" ").some((pair) => {
      const [name, value] = pair.split("=");
      return form.elements[name].value === value;
    }) ?? true;

  // What is written for those who cannot see the row stays beside the row.
  function labelOf(button) {
    if (button.dataset.confirmLabel) return button.dataset.confirmLabel;
    const seen = button.cloneNode(true);
    for (const hidden of all(".visually-hidden", seen)) hidden.remove();
    return seen.textContent.trim();
  }

  document.addEventListener(
    "submit",
    (event) => {
      const { target: form, submitter } = event;
      const words = submitter?.dataset.confirm ?? form.dataset.confirm;
      if (!words || !isAsked(form, submitter) || confirmed.delete(form)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      const dialog = find("#confirm");
      find("[data-confirm-words]", dialog).textContent = words;
      find("[value=yes]", dialog).textContent = submitter ? labelOf(submitter) : "";
      dialog.returnValue = "";
      dialog.onclose = () => {
        if (dialog.returnValue !== "yes") return;
        confirmed.add(form);
        if (submitter?.name === "is_sure") submitter.value = "yes";
        form.requestSubmit(submitter);
      };
      dialog.showModal();
    },
    true,
  );

  // Where the line of pages scrolls, the current one stands in its middle; Chromium's CSS sees to it.
  function showCurrentPage() {
    const here = find(".nav [aria-current]");
    if (!here || CSS.supports("scroll-initial-target", "nearest")) return;
    const [line, link] = [here.parentElement, here].map((element) => element.getBoundingClientRect());
    here.parentElement.scrollLeft += link.left - line.left - (line.width - link.width) / 2;
  }

  // Nor is one that the keyboard reaches left half outside: Chromium does not care for what it sees of it.
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches(".nav :focus-visible")) target.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  // A press beside a dialog closes it, also where the browser knows no closedby; one that begins within
  // it, such as a selection, does not.
  let pressed = null;
  document.addEventListener("pointerdown", (event) => (pressed = event));
  function isBeside(dialog, { clientX, clientY }) {
    const box = dialog.getBoundingClientRect();
    return clientX < box.left || clientX > box.right || clientY < box.top || clientY > box.bottom;
  }

  // --- Clicks and changes ------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    if (event.target.matches("dialog[open]") && !("closedBy" in event.target) && [event, pressed ?? event].every((one) => isBeside(event.target, one)))
      event.target.close();
    const at = (selector) => event.target.closest(selector);
    at("[data-toast-close]")?.closest(".toast").remove();
    if (at("[data-toast-reload]")) location.reload();
    const opener = at("[data-dialog]");
    if (opener) {
      event.preventDefault();
      open(document.getElementById(opener.dataset.dialog));
    }
    for (const menu of all("details[data-menu][open]")) {
      if (!menu.contains(event.target)) menu.open = false;
      else if (at(".menu :is(a, button)")) closeMenu(menu);
    }
    if (at("[data-print]")) window.print();
  });

  // A choice that a word of the search line made is the choice's again when somebody changes it.
  document.addEventListener("change", ({ target }) => {
    if (target.matches("form[data-auto-submit] select")) target.form.requestSubmit();
    const words = target.dataset.words?.split(" ");
    if (!words) return;
    target.name ||= target.dataset.name;
    const line = find("[type=search]", target.form);
    const isOther = (word) => !words.some((name) => word.toLowerCase().startsWith(`${name}:`));
    line.value = line.value.split(/\s+/).filter(isOther).join(" ");
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-sign-out]")) forgetDrafts(() => false);
    // The theme changes at once; the server remembers it.
    if (!form.matches("[data-theme-form]") || !event.submitter) return;
    event.preventDefault();
    const body = new FormData(form, event.submitter);
    document.documentElement.dataset.theme = event.submitter.value;
    for (const button of form.elements) {
      if (button.name === "theme") button.setAttribute("aria-pressed", String(button === event.submitter));
    }
    fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => toast({}));
  });

  // --- Keys --------------------------------------------------------------------------------------
  // By what the key writes, and where that is no Latin letter by where the key is: so they are the
  // same keys in the Russian layout. At rest while somebody types, or when they were switched off.
  function keyOf({ key, code, shiftKey }) {
    if (key === "/" || key === "?") return key;
    if (code === "Slash" && (key === "." || key === ",")) return shiftKey ? "?" : "/";
    if (shiftKey || key.length > 1) return null;
    if (/[a-z]/i.test(key)) return key.toLowerCase();
    return key > "\u007f" ? /^Key([A-Z])$/.exec(code)?.[1].toLowerCase() : null;
  }

  const rowOfFocus = () => document.activeElement.closest("main tbody tr");
  const mainOf = (row) => find("a.name", row) ?? find("a[href], button", row);

  function moveBy(step) {
    const rows = all("main tbody tr").filter((row) => mainOf(row)?.checkVisibility());
    const here = rows.indexOf(rowOfFocus());
    const first = rows.findIndex((row) => row.getBoundingClientRect().top > 0);
    const next = rows[here < 0 ? first : Math.min(Math.max(here + step, 0), rows.length - 1)];
    if (next) mainOf(next).focus();
    return next;
  }

  function press(element) {
    if (!element) return false;
    element.focus();
    if (element.matches("input, textarea")) element.select();
    else element.click();
    return true;
  }

  const ACTIONS = {
    j: () => moveBy(1),
    k: () => moveBy(-1),
    x: () => press(rowOfFocus() ? find("[data-complete]", rowOfFocus()) : find('[data-key="x"]')),
    c: () => press(find('[data-key="c"]')),
    d: () => rowOfFocus() && press(find("a.name", rowOfFocus())),
    "/": () => press(find('main [data-key="/"]') ?? find('[data-key="/"]')),
    "?": () => open(find("#shortcuts")) || true,
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const menu = find("details[data-menu][open]");
      if (menu) closeMenu(menu);
      // Some browsers empty a search line by Escape, and think no further when it is empty.
      if (event.target.matches("dialog input[type=search]") && !event.target.value) event.target.closest("dialog").close();
    }
    if (!("shortcuts" in document.body.dataset) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.isComposing || event.target.closest("input, select, textarea, [contenteditable], dialog")) return;
    const key = keyOf(event);
    if (event.repeat && key !== "j" && key !== "k") return;
    if (ACTIONS[key]?.()) event.preventDefault();
  });

  // --- What has changed meanwhile ----------------------------------------------------------------
  // [data-live] names where the page's version is asked for: every 3 s while someone is at the page,
  // every minute when nobody is, and never while it is hidden. Nothing new is a 304. A part of the
  // version that changed concerns each [data-on] of its name: one with a data-url is renewed from
  // there, unless somebody types in it; where nothing can be renewed the page only tells.
  const ACTIVE_MS = 3000;
  const IDLE_MS = 60000;
  const LOST_MS = 15000;
  let lastSignOfLife = Date.now();
  let losses = 0;
  let timer;
  const stale = new Map();
  const partsOf = (version) => version.split(";").map((part) => part.split("="));

  function later() {
    const isIdle = Date.now() - lastSignOfLife > IDLE_MS;
    clearTimeout(timer);
    timer = setTimeout(ask, losses ? Math.min(losses * ACTIVE_MS, LOST_MS) : isIdle ? IDLE_MS : ACTIVE_MS);
  }

  async function ask() {
    const live = all("[data-live]").at(-1);
    clearTimeout(timer);
    if (!live || document.hidden) return;
    try {
      const headers = { "If-None-Match": `"${live.dataset.version}"`, "HX-Request": "true" };
      const answer = await fetch(live.dataset.live, { headers, cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (answer.status === 401) return endSession();
      if (answer.status >= 500) throw new Error(answer.status);
      found();
      ring(answer.headers.get("X-Unread"));
      if (answer.status === 200) hear(live, await answer.json());
      else if (answer.status !== 304) return;
      show();
    } catch {
      if (!isLeaving) lose();
    }
    later();
  }

  // The bell in the header: whatever the page asks, the answer says how many notifications are
  // unread. Where no region of the page asks, the bell does.
  function ring(unread) {
    const bell = find("[data-bell]");
    if (!bell || unread === null || unread === bell.dataset.bell) return;
    const count = find("[data-count]", bell);
    count.textContent = unread;
    count.hidden = unread === "0";
    const label = bell.dataset.label.replace("#", unread);
    bell.setAttribute("aria-label", label);
    if (parseInt(unread) > parseInt(bell.dataset.bell)) say(label);
    bell.dataset.bell = unread;
  }

  function lose() {
    losses += 1;
    const line = find("#connection");
    line.textContent = line.dataset.lost;
  }

  function found() {
    if (!losses) return;
    losses = 0;
    find("#connection").textContent = "";
    say(find("#connection").dataset.back);
  }

  function endSession() {
    const { title, advice, url } = find("#toasts").dataset;
    toast({ title, advice, link: `${url}?next=${encodeURIComponent(location.pathname + location.search)}` });
  }

  function hear(live, { version, words }) {
    const before = new Map(partsOf(live.dataset.version));
    for (const [part, value] of partsOf(version)) if (before.get(part) !== value) stale.set(part, words[part]);
    live.dataset.version = version;
  }

  function show() {
    for (const [part, words] of stale) {
      const concerned = all(`[data-on="${part}"]`);
      const renewed = concerned.filter((region) => region.dataset.url);
      const told = concerned.filter((region) => !region.dataset.url);
      const canRenew = renewed.length && renewed.every(isFree);
      if (canRenew || !renewed.length) stale.delete(part);
      for (const region of told) if (canRenew) find(".notice", region)?.remove();
      else tell(region, words);
      if (canRenew) renew(renewed, part);
    }
  }

  // Calm: rows that are clicked. They do not move under a pointer or a focus, nor when more were loaded.
  function isFree(region) {
    const hasFocus = region.contains(document.activeElement);
    if (hasFocus && document.activeElement.matches("input, select, textarea")) return false;
    if (all("input, select, textarea", region).some(isChanged)) return false;
    if (!("calm" in region.dataset)) return true;
    const hasMore = all("table", region).some((table) => all("tbody:not(.pager)", table).length > 1);
    return !hasFocus && !hasMore && !region.matches(":hover");
  }

  // Regions that come from one address are renewed by one request, each by its id.
  function renew(regions, part) {
    for (const url of new Set(regions.map((region) => region.dataset.url))) {
      const [first, ...others] = regions.filter((region) => region.dataset.url === url);
      const swapOf = (region) => region.dataset.swap ?? "outerMorph";
      const selectOOB = others.map((region) => `#${region.id}:${swapOf(region)}`).join(",") || undefined;
      htmx.ajax("GET", url, { source: first, target: first, select: `#${first.id}`, selectOOB, swap: swapOf(first), quiet: part });
    }
  }

  function leaveStale(event) {
    event.preventDefault();
    stale.set(event.detail.ctx.quiet);
  }

  function tell(region, words) {
    if (!find(".notice", region)) {
      region.append(find("template", region).content.cloneNode(true));
      htmx.process(region);
    }
    if (words) find("[data-words]", region).textContent = words;
  }

  for (const sign of ["pointerdown", "keydown", "focusin", "scroll"]) {
    document.addEventListener(sign, () => (lastSignOfLife = Date.now()), { passive: true });
  }

  document.addEventListener("DOMContentLoaded", () => {
    forgetTakenDraft();
    if (person) forgetDrafts((key) => key.startsWith(`draft:${person}:`));
    bringDraftsBack();
    focusFirstError(document);
    showCurrentPage();
    if (!find("[data-live]")) return;
    document.addEventListener("visibilitychange", ask);
    window.addEventListener("online", ask);
    window.addEventListener("offline", lose);
    later();
  });
  dropUnscripted();
  document.documentElement.dataset.scripted = "";
})();

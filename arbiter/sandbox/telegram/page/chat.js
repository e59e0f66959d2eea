// The chat page: polls /chat/updates, draws messages from their entities, sends what the person does.
// Text of people and bots only ever becomes text nodes.
"use strict";

const $ = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const person = asked.get("as") || "You";
let code = asked.get("start");
const items = new Map(); // message id -> its element
const busy = new Map(); // query id -> its button
const MOST_SHOWN = 600;
const early = new Map(); // query id -> an answer that came before the press was confirmed
let pressing = 0;
let revision = 0, commands = [], started = false, blocked = false, botName = "", unread = 0, typingTimer = 0, toastTimer = 0;

function make(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

// -- text with entities; offsets count UTF-16 units, as JavaScript's strings do --

const TAGS = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote", expandable_blockquote: "blockquote" };

function safeAddress(address) {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

function wrap(entity, text) {
  if (TAGS[entity.type]) {
    const made = make(TAGS[entity.type]);
    if (entity.type === "pre" && entity.language) made.dataset.language = entity.language;
    return made;
  }
  if (entity.type === "spoiler") {
    const made = make("span", "spoiler");
    made.tabIndex = 0;
    made.setAttribute("role", "button");
    made.setAttribute("aria-label", "Spoiler: press to show");
    const show = () => { made.classList.add("shown"); made.removeAttribute("role"); made.removeAttribute("aria-label"); };
    made.addEventListener("click", show, { once: true });
    made.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(); } });
    return made;
  }
  if (entity.type === "bot_command") {
    const made = make("button", "command");
    made.type = "button";
    made.addEventListener("click", () => say(text));
    return made;
  }
  const address = entity.type === "text_link" ? safeAddress(entity.url) : entity.type === "url" ? safeAddress(text) : null;
  if (!address) return make("span");
  const made = make("a");
  made.href = address;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

function draw(into, text, entities, begin = 0, end = text.length) {
  let at = begin;
  for (let i = 0; i < entities.length; i++) {
    const entity = entities[i];
    const from = Math.max(entity.offset, at), to = Math.min(entity.offset + entity.length, end);
    if (to <= from || from >= end) continue;
    if (from > at) into.append(text.slice(at, from));
    const made = wrap(entity, text.slice(from, to));
    const inner = [];
    while (i + 1 < entities.length && entities[i + 1].offset < to) inner.push(entities[++i]);
    draw(made, text, inner, from, to);
    into.append(made);
    at = to;
    // a line end after a block would show as an empty line
    if ((made.tagName === "PRE" || made.tagName === "BLOCKQUOTE") && text[at] === "\n" && at < end) at++;
  }
  if (at < end) into.append(text.slice(at, end));
}

// -- messages --

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });

function sizeOf(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1048576).toFixed(1)} MB`;
}

function drawPhoto(sizes) {
  const best = sizes[sizes.length - 1];
  const link = make("a", "photo"), image = make("img");
  link.href = image.src = `/chat/file/${encodeURIComponent(best.file_id)}`;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  image.width = best.width;
  image.height = best.height;
  image.alt = "Photo";
  image.addEventListener("load", () => { if (nearEnd()) toEnd(); });
  link.append(image);
  return link;
}

function drawFile(file) {
  const link = make("a", "file"), words = make("span");
  link.href = `/chat/file/${encodeURIComponent(file.file_id)}`;
  link.download = file.file_name || "file";
  words.append(make("b", "", file.file_name || "file"), make("small", "", sizeOf(file.file_size)));
  link.append(make("span", "sign", "↓"), words);
  return link;
}

function drawKeyboard(message) {
  const keyboard = make("div", "keyboard");
  for (const buttons of message.reply_markup.inline_keyboard) {
    const row = make("div", "row");
    for (const button of buttons) {
      const address = button.url ? safeAddress(button.url) : null;
      const key = make(address ? "a" : "button", address ? "key link" : "key", button.text);
      if (address) { key.href = address; key.target = "_blank"; key.rel = "noopener noreferrer"; }
      else { key.type = "button"; key.title = button.text; key.addEventListener("click", () => press(message.message_id, button.callback_data, key)); }
      row.append(key);
    }
    keyboard.append(row);
  }
  return keyboard;
}

function drawMessage(message) {
  const out = !(message.from && message.from.is_bot) && !message.sender_chat;
  const item = make("li", `message${out ? " out" : ""}`);
  const bubble = make("div", "bubble"), text = message.text || message.caption || "";
  item.dataset.id = message.message_id;
  item.dataset.date = message.date;
  if (message.reply_to_message) bubble.append(make("div", "reply", message.reply_to_message.text || message.reply_to_message.caption || "Attachment"));
  if (message.photo) bubble.append(drawPhoto(message.photo));
  if (message.document) bubble.append(drawFile(message.document));
  if (message.photo) item.classList.add("pictured");
  if (message.photo && !text) bubble.classList.add("bare");
  if (message.document && !text) bubble.classList.add("plain");
  if (message.edit_date) bubble.classList.add("edited");
  const body = make("div", "body");
  draw(body, text, message.entities || message.caption_entities || []);
  const meta = make("time", "meta", (message.edit_date ? "edited " : "") + clock.format(message.date * 1000));
  meta.dateTime = new Date(message.date * 1000).toISOString();
  bubble.append(body, meta);
  item.append(bubble);
  if (message.reply_markup) { item.append(drawKeyboard(message)); item.classList.add("keys"); }
  return item;
}

function put(message, fresh) {
  const made = drawMessage(message), before = items.get(message.message_id);
  items.set(message.message_id, made);
  if (before) {
    // a press that waits goes on waiting on the button that took its button's place
    for (const [query, key] of busy) {
      if (!before.contains(key)) continue;
      const again = sameKey(made, key);
      again.setAttribute("aria-busy", "true");
      busy.set(query, again);
    }
    made.classList.toggle("first", before.classList.contains("first"));
    before.replaceWith(made);
    return;
  }
  const log = $("log"), last = log.lastElementChild;
  const day = (item) => new Date(item.dataset.date * 1000).toDateString();
  if (!last || !last.dataset.date || day(last) !== day(made)) log.append(make("li", "day", calendar.format(message.date * 1000)));
  made.classList.toggle("first", !last || last.classList.contains("out") !== made.classList.contains("out"));
  if (fresh) made.classList.add("fresh");
  log.append(made);
}

function remove(id) {
  const item = items.get(id);
  if (!item) return;
  const above = item.previousElementSibling, next = item.nextElementSibling;
  if (above && above.classList.contains("day") && (!next || next.classList.contains("day"))) above.remove();
  item.remove();
  items.delete(id);
}

// -- the place in the conversation --

function nearEnd() { const box = $("scroller"); return box.scrollHeight - box.scrollTop - box.clientHeight < 120; }
function toEnd() { const box = $("scroller"); box.scrollTop = box.scrollHeight; markRead(); }
function markRead() {
  const away = !nearEnd();
  if (!away) unread = 0;
  $("down").hidden = !away;
  $("unread").hidden = !unread;
  $("unread").textContent = unread > 99 ? "99+" : unread;
}

// -- what the server tells --

function take(news) {
  const follow = nearEnd() || news.reset;
  if (news.reset) { $("log").replaceChildren(); items.clear(); busy.clear(); }
  revision = news.revision;
  ({ started, blocked } = news);
  commands = news.commands;
  botName = news.bot.first_name;
  $("title").textContent = botName;
  $("menu").hidden || drawMenu();
  for (const message of news.messages) {
    if (!items.has(message.message_id) && !follow) unread++;
    put(message, !news.reset);
  }
  news.gone.forEach(remove);
  if (items.size > MOST_SHOWN) [...items.keys()].slice(0, items.size - MOST_SHOWN).forEach(remove);
  news.notices.forEach(notice);
  frame(); // before the end is looked for: the Start bar takes room from the messages
  if (follow) toEnd(); else markRead();
  typing(news.typing_ms);
}

function frame() {
  $("empty").hidden = items.size > 0;
  $("start").hidden = !code && started;
  $("slash").hidden = !commands.length;
  const small = code ? make("small", "", `/start ${code}`) : "";
  $("start").replaceChildren("Start", small);
}

function typing(ms) {
  clearTimeout(typingTimer);
  $("status").textContent = ms > 0 ? "typing…" : person === "You" ? "bot" : `bot · you are ${person}`;
  $("status").classList.toggle("typing", ms > 0);
  if (ms > 0) typingTimer = setTimeout(() => typing(0), ms);
}

function notice(told) {
  const key = busy.get(told.query);
  if (!key && pressing) return early.set(told.query, told);
  if (key) key.removeAttribute("aria-busy");
  const mine = busy.delete(told.query);
  if (!told.text || !mine) return;
  if (!told.alert) return toast(told.text);
  $("alert-text").textContent = told.text;
  if (!$("alert").open) $("alert").showModal();
}

function toast(text) {
  const shown = $("toast");
  clearTimeout(toastTimer);
  shown.textContent = text;
  shown.hidden = true;
  void shown.offsetWidth; // begin the animation anew
  shown.hidden = false;
  toastTimer = setTimeout(() => { shown.hidden = true; }, 3500);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function watch() {
  for (let failures = 0; ;) {
    try {
      const answer = await fetch(`/chat/updates?as=${encodeURIComponent(person)}&after=${revision}&wait=${failures ? 0 : 25}`);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const news = await answer.json();
      failures = 0;
      $("lost").hidden = true;
      take(news);
    } catch (error) {
      failures++;
      console.warn("updates:", error.message);
      $("lost").hidden = false;
      $("status").textContent = "waiting for the network…";
      await pause(Math.min(500 * 2 ** failures, 5000));
    }
  }
}

// -- what the person does --

let last = Promise.resolve();

// One after the other: two requests side by side may arrive in the other order, and a stop and a resume must not.
function act(name, what) {
  const done = last.then(() => post(name, what));
  last = done.catch(() => {});
  return done;
}

async function post(name, what) {
  const answer = await fetch(`/chat/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ by: person, ...what }), signal: AbortSignal.timeout(15000) });
  const told = await answer.json();
  if (!told.ok) throw new Error(told.description);
  return told.result;
}

async function say(text) {
  closeMenu();
  try {
    await act("send", { text });
    toEnd();
    return true;
  } catch (error) {
    toast(error instanceof TypeError ? "Not sent: no connection." : `Not sent: ${error.message}`);
    return false;
  }
}

async function press(messageId, data, key) {
  key.setAttribute("aria-busy", "true");
  pressing++;
  try {
    const { query } = await act("press", { message_id: messageId, data });
    busy.set(query, key.isConnected ? key : sameKey(items.get(messageId), key));
    if (early.has(query)) return notice(early.get(query));
    setTimeout(() => { const late = busy.get(query); if (late) { late.removeAttribute("aria-busy"); busy.delete(query); toast("The bot has not answered."); } }, 15000);
  } catch (error) {
    key.removeAttribute("aria-busy");
    toast(error instanceof TypeError ? "Not sent: no connection." : error.message);
  } finally {
    if (!--pressing) early.clear();
  }
}

function sameKey(item, key) { return (item && [...item.querySelectorAll("button.key")].find((each) => each.textContent === key.textContent)) || key; }

// -- the menu of commands --

function drawMenu() {
  const typed = $("text").value.replace(/^\//, "").toLowerCase();
  const fitting = commands.filter((each) => each.command.startsWith(typed));
  $("menu").replaceChildren(...fitting.map((each) => {
    const line = make("button");
    line.type = "button";
    line.setAttribute("role", "menuitem");
    line.append(make("b", "", `/${each.command}`), make("span", "", each.description));
    line.addEventListener("click", () => { clearText(); say(`/${each.command}`); });
    return line;
  }));
  $("menu").hidden = !fitting.length;
  $("slash").setAttribute("aria-expanded", String(!$("menu").hidden));
}

function closeMenu() { $("menu").hidden = true; $("slash").setAttribute("aria-expanded", "false"); }

function fit() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
  $("send").disabled = !text.value.trim();
  if (/^\/\w*$/.test(text.value) && commands.length) drawMenu(); else closeMenu();
}

function clearText() { $("text").value = ""; fit(); }

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text.trim()) return;
  clearText();
  if (!(await say(text)) && !$("text").value) { $("text").value = text; fit(); }
});
$("text").addEventListener("input", fit);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("composer").requestSubmit(); }
  if (event.key === "Escape") closeMenu();
});
$("slash").addEventListener("click", () => { if ($("menu").hidden) drawMenu(); else closeMenu(); });
$("start").addEventListener("click", async () => {
  if (!(await say(code ? `/start ${code}` : "/start"))) return;
  code = null;
  asked.delete("start");
  history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
  frame();
});
$("down").addEventListener("click", toEnd);
$("scroller").addEventListener("scroll", markRead, { passive: true });
$("alert-ok").addEventListener("click", () => $("alert").close());
addEventListener("resize", () => { if (nearEnd()) toEnd(); });
watch();

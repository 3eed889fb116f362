// The page itself. All that comes from the chain is shown as text, never as markup.

const $ = (id) => document.getElementById(id);
const BLOCKS_SHOWN = 10;
const LIST_SHOWN = 50;
const POLL_MS = 2000;
let status = null;
let key = null;
const waiting = new Map();

/** An element with attributes, handlers and children. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (attribute.startsWith("on")) element.addEventListener(attribute.slice(2), value);
    else if (value === true) element.setAttribute(attribute, "");
    else if (value !== false && value != null) element.setAttribute(attribute, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** An answer of the node; a refusal is thrown, in words. */
async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok && !("ready" in body)) {
    const error = new Error(body.detail ?? `The node answers ${response.status}`);
    error.status = response.status;
    error.reason = body.reason;
    throw error;
  }
  return body;
}

const short = (text) => (text.length > 20 ? `${text.slice(0, 10)}…${text.slice(-6)}` : text);
const figures = (list, pairs) => list.replaceChildren(...pairs.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, String(value)))));
const link = (label, id) => make("button", { type: "button", class: "link mono", title: id, onclick: () => lookUp(id) }, label);

function age(milliseconds) {
  const seconds = Math.max(0, Math.round((Date.now() - milliseconds) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

async function showStatus() {
  const [now, ready] = await Promise.all([ask("/api/v1/status"), ask("/readyz")]);
  const first = status === null;
  status = now;
  $("chain").textContent = status.chain;
  $("peer").textContent = status.peer_id;
  document.title = `Lyceum · ${status.chain} · ${status.height}`;
  $("health").className = `health ${ready.ready ? "good" : "bad"}`;
  $("health").textContent = ready.ready
    ? `In step with the network. ${status.limits.open ? "Everyone may do everything on this chain." : "Roles decide who may do what on this chain."}`
    : `Not in step yet: ${ready.reasons.map((reason) => reason.detail).join("; ")}.`;
  figures($("figures"), [["Height", status.height], ["Tip's age", age(status.tip_timestamp)], ["Peers", status.peers],
    ["Sync", status.sync.phase], ["Pending", status.mempool.transactions], ["Mining", status.mining ? "yes" : "no"]]);
  if (first) suggestFee();
}

async function showBlocks() {
  const page = await ask(`/api/v1/blocks?limit=${BLOCKS_SHOWN}`);
  $("blocks").replaceChildren(...page.items.reverse().map((block) => make("tr", {},
    make("td", {}, link(String(block.height), String(block.height))), make("td", {}, link(short(block.hash), block.hash)),
    make("td", {}, String(block.txs.length)), make("td", {}, link(short(block.claims.iss), block.claims.iss)),
    make("td", {}, age(block.claims.timestamp)))));
}

const offer = (label, action, values) => make("button", { type: "button", class: "plain", onclick: () => chooseAction(action, values) }, label);

const LISTS = {
  courses: ["learning/course", (course) => [make("strong", {}, course.name || course.id), " ", make("small", {}, `${course.id} · ${course.department} · ${course.teacher || "no teacher named"} · ${course.enrolled}${course.capacity ? ` of ${course.capacity}` : ""} enrolled`), make("div", {}, course.description), offer("Enrol", "enroll", { course: course.id })]],
  students: ["learning/student", (student) => [make("strong", {}, student.name), " ", make("small", {}, `${student.id} · ${student.department}`)]],
  enrolments: ["learning/enrolment", (entry) => [make("strong", {}, entry.student), ` in ${entry.course}: `, entry.graded ? `${entry.grade} points` : "not graded", make("div", {}, entry.graded ? offer("Certify", "generate_nft", { student: entry.student, course: entry.course }) : offer("Grade", "grade", { student: entry.student, course: entry.course }))]],
  certificates: ["learning/nft", (nft) => [make("strong", {}, nft.name || nft.id), " ", make("small", {}, `${nft.id} · ${nft.owner} · ${nft.course}`), nft.revoked ? make("div", { class: "bad-text" }, "Revoked") : make("div", {}, nft.description)]],
  proposals: ["dao/proposal", (proposal) => [make("strong", {}, proposal.title || proposal.id), " ", make("small", {}, `${proposal.id} · ${proposal.status} · ${proposal.yes} yes, ${proposal.no} no · closes at height ${proposal.closes}`), make("div", {}, proposal.description),
    proposal.status !== "open" ? null : status && status.height >= proposal.closes ? offer("Close the vote", "execute_proposal", { id: proposal.id }) : make("span", {}, offer("Vote yes", "vote_proposal", { id: proposal.id, vote: "yes" }), offer("Vote no", "vote_proposal", { id: proposal.id, vote: "no" }))]],
  members: ["dao/member", (member) => [make("strong", {}, member.role), " ", make("small", { title: member.wallet }, short(member.wallet))]],
};

async function showList(id) {
  const [path, describe] = LISTS[id];
  const pages = Number($(id).dataset.pages ?? 1);
  let records = [];
  let next = null;
  for (let page = 0; page < pages; page += 1) {
    const after = next === null ? "" : `&after=${encodeURIComponent(next)}`;
    const got = await ask(`/api/v1/state/${path}?limit=${LIST_SHOWN}${after}`);
    records = records.concat(got.items);
    next = got.next;
    if (next === null) break;
  }
  const items = records.map(({ record }) => make("li", {}, ...describe(record)));
  if (items.length === 0) items.push(make("li", { class: "empty" }, "None yet"));
  const more = () => { $(id).dataset.pages = String(pages + 1); showList(id); };
  if (next !== null) items.push(make("li", { class: "empty" }, make("button", { type: "button", class: "plain", onclick: more }, "Show more")));
  $(id).replaceChildren(...items);
}

async function showAccount() {
  if (!key) return null;
  const account = await ask(`/api/v1/accounts/${key.did}`);
  figures($("account"), [["Credits", account.balance], ["Transactions", account.seq], ["Role", account.role ?? "none"], ["User", account.user_id ?? "none"]]);
  return account;
}

/** Runs what may fail, and says so in words. */
async function attempt(note, work) {
  try {
    return await work();
  } catch (error) {
    note.textContent = error.message;
    note.classList.add("bad-text");
    return null;
  }
}

async function useKey(making) {
  const note = $("key-note");
  note.classList.remove("bad-text");
  await attempt(note, async () => {
    if (cryptoMissing()) throw new Error(cryptoMissing());
    key = await making();
    note.textContent = `You are ${key.did}`;
    $("key-save").disabled = false;
    $("send").disabled = false;
    await showAccount();
  });
}

async function saveKey() {
  const url = URL.createObjectURL(new Blob([await writeKey(key)], { type: "application/x-pem-file" }));
  make("a", { href: url, download: "lyceum-key.pem" }).click();
  URL.revokeObjectURL(url);
}

function field({ name, label, kind, required, options, min, max, placeholder }, value) {
  const id = `field-${name}`;
  const input = kind === "choice"
    ? make("select", { id, name }, ...options.map(([option, title]) => make("option", { value: option }, title)))
    : make("input", { id, name, type: kind, required, min, max, step: kind === "number" ? 1 : null, placeholder });
  if (value !== undefined) input.value = value;
  return make("p", {}, make("label", { for: id }, required ? label : `${label} · optional`), input);
}

function chooseAction(name, values = {}) {
  const action = ACTIONS[name];
  $("action").value = name;
  $("action-help").textContent = action.help;
  $("fields").replaceChildren(...action.fields.map((one) => field(one, values[one.name])));
  if (Object.keys(values).length > 0) {
    $("form").scrollIntoView({ block: "center" });
    (action.fields.find((one) => !(one.name in values)) ? $(`field-${action.fields.find((one) => !(one.name in values)).name}`) : $("send")).focus();
  }
}

function suggestFee() {
  const price = status.limits.min_gas_price;
  if (price > 0) $("gas").value = 200000;
  $("fee").value = Number($("gas").value) * price;
}

function readFields(action) {
  return Object.fromEntries(action.fields.map(({ name, kind }) => {
    const value = $(`field-${name}`).value.trim();
    return [name, kind === "number" && value !== "" ? Number(value) : value];
  }));
}

async function follow(title, token) {
  const outcome = make("span", {}, "sending…");
  const item = make("li", {}, make("strong", {}, title), " ", outcome);
  $("sent").prepend(item);
  await attempt(outcome, async () => {
    const { id } = await ask("/api/v1/txs", { method: "POST", headers: { "content-type": "application/jwt" }, body: token });
    item.append(make("div", {}, link(short(id), id)));
    outcome.textContent = "is waiting for a block…";
    waiting.set(id, outcome);
  });
}

function showReceipt(outcome, { block, receipt }) {
  const [name, words] = receipt.ok
    ? ["good-text", `done, in block ${block.height}, for ${receipt.gas} gas`]
    : ["bad-text", `refused in block ${block.height}: ${receipt.error}`];
  outcome.className = name;
  outcome.textContent = words;
}

async function showOutcomes() {
  for (const [id, outcome] of waiting) {
    await attempt(outcome, async () => {
      const transaction = await ask(`/api/v1/txs/${id}`);
      if (transaction.block === null) return;
      waiting.delete(id);
      showReceipt(outcome, transaction);
    });
  }
}

async function send(event) {
  event.preventDefault();
  const action = ACTIONS[$("action").value];
  const note = $("key-note");
  await attempt(note, async () => {
    const made = action.make(readFields(action));
    const account = await showAccount();
    const token = await signTransaction(key, status.chain, account.next_seq, Number($("gas").value), Number($("fee").value), made);
    await follow(action.title, token);
  });
}

async function paste(event) {
  event.preventDefault();
  await follow("A pasted token", $("paste").value.trim());
}

async function lookUp(query) {
  $("query").value = query;
  const id = encodeURIComponent(query);
  const paths = query.startsWith("did:") ? [`/api/v1/accounts/${id}`]
    : /^[0-9a-f]{64}$/.test(query) ? [`/api/v1/blocks/${id}`, `/api/v1/txs/${id}`] : [`/api/v1/blocks/${id}`];
  let refusal = null;
  for (const path of paths) {
    try {
      const found = await ask(path);
      $("found").replaceChildren(make("pre", { tabindex: "0" }, JSON.stringify(found, null, 2)));
      $("found").scrollIntoView({ block: "nearest" });
      return;
    } catch (error) {
      refusal = error;
    }
  }
  $("found").replaceChildren(make("p", { class: "bad-text" }, refusal.message));
}

/** Shows the chain anew: at once, but not twice at a time. */
let refreshing = false;
let again = false;
async function refresh() {
  again = refreshing;
  if (refreshing) return;
  refreshing = true;
  await attempt($("health"), async () => {
    await showStatus();
    await Promise.all([showBlocks(), showOutcomes(), showAccount(), ...Object.keys(LISTS).map(showList)]);
  });
  refreshing = false;
  if (again) setTimeout(refresh, POLL_MS);
}

function listen() {
  const events = new EventSource("/api/v1/events");
  for (const name of ["tip", "phase", "lagged"]) events.addEventListener(name, refresh);
  events.addEventListener("error", () => {
    $("health").className = "health bad";
    $("health").textContent = "The connection to the node is lost; trying again…";
  });
  events.addEventListener("dropped", (event) => {
    const { id, reason } = JSON.parse(event.data);
    const outcome = waiting.get(id);
    if (!outcome) return;
    outcome.className = "bad-text";
    outcome.textContent = `dropped: ${reason}`;
    waiting.delete(id);
  });
}

$("action").append(...Object.entries(ACTIONS).map(([name, { title }]) => make("option", { value: name }, title)));
$("action").addEventListener("change", () => chooseAction($("action").value));
$("gas").addEventListener("change", () => { $("fee").value = Number($("gas").value) * status.limits.min_gas_price; });
$("key-new").addEventListener("click", () => useKey(newKey));
$("key-file").addEventListener("change", (event) => { const [file] = event.target.files; if (file) useKey(async () => readKey(await file.text())); });
$("key-save").addEventListener("click", saveKey);
$("form").addEventListener("submit", send);
$("paste-form").addEventListener("submit", paste);
$("find-form").addEventListener("submit", (event) => { event.preventDefault(); lookUp($("query").value.trim()); });
chooseAction("register_student");
refresh();
listen();

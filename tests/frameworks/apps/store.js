// An app that caches 500 entries: store.js LIBRARY ACTION APP. A name that the library refuses is stored percent-encoded, or
// where it is too long by its digest, as apps do.
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { promisify } = require("node:util");
const [library, action, app] = process.argv.slice(2);
const server = process.env.SERVER;

const libraries = {
  memjs() {
    const client = require("memjs").Client.create(server);
    return {
      write: (name, value) => client.set(`${app}:${name}`, value, { expires: 0 }),
      read: async (name) => (await client.get(`${app}:${name}`)).value?.toString(),
      clear: () => client.flush(),
      close: () => client.quit(),
    };
  },
  memcached() {
    const Memcached = require("memcached");
    const client = new Memcached(server, { namespace: `${app}:` });
    const [set, get, flush] = ["set", "get", "flush"].map((name) => promisify(client[name]).bind(client));
    return { write: (name, value) => set(name, value, 0), read: get, clear: flush, close: () => client.end() };
  },
};
const { write: set, read, clear, close } = libraries[library]();

// memjs never gets over an answer to a key that is too long, and memcached stores it under a digest without the prefix, where
// nobody finds it by that: an app has to shorten such names itself.
const write = async (name, value) => {
  if (Buffer.byteLength(`${app}:${name}`) > 250) throw new Error("too long");
  return set(name, value);
};

const entries = readFileSync(process.env.NAMES, "utf8").trimEnd().split("\n").map((line) => line.split("\t"));
const substitute = (name) =>
  name.length > 200 ? createHash("sha256").update(name).digest("hex") : encodeURIComponent(name);
const attempt = async (call) => {
  try {
    return await call();
  } catch {
    return undefined;
  }
};

const actions = {
  async fill() {
    const refused = new Set();
    for (const [kind, name] of entries) {
      const value = `${app} ${name}`;
      if (!(await attempt(() => write(name, value)))) {
        if (!(await write(substitute(name), value))) throw new Error(`${name}: not stored`);
        refused.add(kind);
      }
    }
    console.log([...refused].join(", ") || "none");
  },
  async count() {
    let found = 0;
    for (const [, name] of entries) {
      const value = `${app} ${name}`;
      for (const used of [name, substitute(name)].filter((used) => used.length < 240)) {
        if ((await attempt(() => read(used))) === value) {
          found += 1;
          break;
        }
      }
    }
    console.log(found);
  },
  clear,
};
actions[action]().then(close, (error) => {
  console.error(error);
  process.exit(1);
});

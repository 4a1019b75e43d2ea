// A link holds the state: its JSON, deflated where the browser can, as base64url after the #. A small table of one's own is in it, as "table".

const MOST = 30_000; // characters of a link with a table: mail programs and chats take more than that

const coded = data => btoa(Array.from(data, byte => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const plain = text => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), c => c.charCodeAt(0));
const through = async (data, stream) => new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(stream)).arrayBuffer());

async function encoded(state) {
  const data = new TextEncoder().encode(JSON.stringify(state));
  if (!globalThis.CompressionStream) return `#j=${coded(data)}`;
  return `#z=${coded(await through(data, new CompressionStream("deflate-raw")))}`;
}

// The link, and whether it is whole: without a table that is too large it is not.
export async function toLink(state, table) {
  if (!table) return { link: await encoded(state), whole: true };
  const link = table.text.length > 20 * MOST ? null : await encoded({ ...state, table });
  return link?.length <= MOST ? { link, whole: true } : { link: await encoded(state), whole: false };
}

export async function fromLink(hash) {
  const [, how, text] = /^#([jz])=([\w-]+)$/.exec(hash) ?? [];
  if (!how) return null;
  const data = how === "z" ? await through(plain(text), new DecompressionStream("deflate-raw")) : plain(text);
  return JSON.parse(new TextDecoder().decode(data));
}

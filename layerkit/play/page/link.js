// A link holds the state: its JSON, deflated where the browser can, as base64url after the #.

const coded = data => btoa(Array.from(data, byte => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const plain = text => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), c => c.charCodeAt(0));
const through = async (data, stream) => new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(stream)).arrayBuffer());

export async function toLink(state) {
  const data = new TextEncoder().encode(JSON.stringify(state));
  if (!globalThis.CompressionStream) return `#j=${coded(data)}`;
  return `#z=${coded(await through(data, new CompressionStream("deflate-raw")))}`;
}

export async function fromLink(hash) {
  const [, how, text] = /^#([jz])=([\w-]+)$/.exec(hash) ?? [];
  if (!how) return null;
  const data = how === "z" ? await through(plain(text), new DecompressionStream("deflate-raw")) : plain(text);
  return JSON.parse(new TextDecoder().decode(data));
}

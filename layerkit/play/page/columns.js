// The columns of the drawing: the inputs, and each layer, as network.js draws them.

import { addressOf, bodyLayers } from "./state.js";

const brief = name => name.length > 9 ? `${name.slice(0, 8)}…` : name;

const coordinate = { plane: null, data: null };
function inputMaps(app) {
  if (coordinate.data === app.data) return coordinate.maps;
  const [[x0, x1], [y0, y1] = [0, 0]] = app.data.bounds, side = 50, flat = app.data.columns.length === 1;
  const large = Math.max(...app.data.bounds.flat().map(Math.abs)), own = app.data.kind === "table", width = flat ? 100 : side, height = flat ? 1 : side;
  coordinate.data = app.data;
  coordinate.maps = app.data.columns.map((_, k) => {
    const data = new Float32Array(width * height);
    for (let i = 0; i < data.length; i++) data[i] = k ? y1 - (y1 - y0) * Math.floor(i / width) / (height - 1) : x0 + (x1 - x0) * (i % width) / (width - 1);
    const [low, high] = app.data.bounds[k]; // columns of tables have their own units
    return { data, width, height, offset: own ? -(low + high) / 2 : 0, scale: 1, largest: own ? (high - low) / 2 : large, range: [low, high] };
  });
  return coordinate.maps;
}

export function columns(app) {
  const { data, frame } = app;
  if (!data) return [];
  const layers = bodyLayers(app.draft), features = data.features.length, image = data.image, found = [];
  const given = app.activations?.x ?? null;
  if (image) {
    const [height, width] = image, x = given ?? exampleInput(app);
    found.push({ title: "image", level: 0, reads: [], units: 1, image: true, address: "input", map: () => ({ data: x, width, height, offset: 0, scale: 1, largest: 1, smooth: false, ink: true }) });
  } else {
    found.push({ title: "inputs", level: 0, reads: [], units: features, address: "input", labels: features > 1 ? data.features.map(brief) : ["x"], map: unit => data.columns.includes(unit) ? inputMaps(app)[data.columns.indexOf(unit)] : null });
  }
  const names = layers ? layers.map((layer, i) => [addressOf(i), layer]) : app.layers.map(layer => [layer.address, layer]), { refused } = app;
  const wrong = refused?.where ?? "", known = new Map(app.layers.map(layer => [layer.address, layer]));
  names.forEach(([address, layer], i) => {
    const same = !layers || !refused || app.state.network.body.layers?.[i]?.type === layer.type, told = known.get(address) ?? app.layers.findLast(each => each.address.startsWith(`${address}.`));
    const output = told?.address ?? address, seen = same ? frame?.neurons?.[output] : null; // of a container it is its last layer's
    const own = same ? app.activations?.[output] ?? seen?.activations : null;
    // a layer of a row reads the one before it, a node of a graph those that it names, which come before it
    const reads = layers ? [i] : layer.reads.map(source => found.findIndex(each => each.address === source)), before = found[reads[0]];
    const size = seen?.units ?? (own ? own.data.length : same && told ? told.output.reduce((a, b) => a * b, 1) : layer.units ?? before.units);
    const units = refused && layer.units ? layer.units : size;
    const W = same ? frame?.weights?.[`${address}.W`] : null;
    const weights = W && W.shape.length === 2 && W.shape[1] === units && (before.image || W.shape[0] === before.units) ? W : null;
    const column = {
      address, title: layer.type, units, weights, reads, level: 1 + Math.max(...reads.map(k => found[k].level)),
      elementwise: layer.units === undefined && !weights && reads.length === 1 && units === before.units && !before.image, bias: same ? frame?.weights?.[`${address}.b`] ?? null : null,
      told: told && same ? `${told.parameters ? `${told.parameters.toLocaleString("en")} parameters, ` : ""}output of shape (${told.output.join(", ")})` : "",
      wrong: `${wrong}.`.includes(`${address}.`), names: same ? told?.features : null, fixed: !layers, given: layer.units,
      setUnits: layers && layer.units !== undefined ? value => app.change(state => { bodyLayers(state)[i].units = value; }) : null,
    };
    if (own) {
      column.largest = own.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      column.value = unit => own.data[unit];
      if (before.image && weights) {
        const [height, width] = image, largest = weights.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
        column.map = unit => ({ data: weights.data, from: unit, step: weights.shape[1], width, height, offset: 0, scale: 1, largest, smooth: false });
      }
    } else if (seen?.values) {
      const [, height, width = 1] = seen.values.shape.length === 3 ? seen.values.shape : [0, 1, seen.values.shape[1]];
      const largest = Math.max(...seen.low.map(Math.abs), ...seen.high.map(Math.abs));
      column.map = unit => unit < seen.low.length ? {
        data: seen.values.data, from: unit * width * height, width, height, largest,
        offset: seen.low[unit], scale: (seen.high[unit] - seen.low[unit]) / 255, range: [seen.low[unit], seen.high[unit]],
      } : null;
    }
    found.push(column);
  });
  const last = found.at(-1);
  if (data.target === "class" && last.units === data.classes.length) last.labels = data.classes.map(brief);
  return found;
}

// The training example whose activations the engine sends.
function exampleInput(app) {
  const { x } = app.data.train, i = Math.min(app.frame?.example ?? 0, x.shape[0] - 1), numbers = Array.from(x.data.subarray(i * x.shape[1], (i + 1) * x.shape[1]));
  return app.data.bytes ? numbers.map(v => v / 255) : numbers;
}

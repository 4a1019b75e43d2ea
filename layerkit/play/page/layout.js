// Where the columns of the drawing are. The nodes of a graph are drawn by levels: each one level after the last of those that it reads,
// below each other where there are several. What is read from further back passes the levels between on a lane.

const MOST = 10, HEAD = 34, LANE = 30, GAP = 14;

// Puts x, y of each unit, wide, shown, top and bottom into the columns; returns the size of a neuron, that of the whole, and the lanes.
// `room` is the width that there is, `ends` what is left for labels beside the first and the last column.
export function layOut(columns, { room, ends: [before, after], height: given, embed }) {
  const { levels, lanes, graph, stacked } = arranged(columns), most = Math.max(...levels.map(level => level.columns.length));
  const headed = stacked && !embed ? HEAD : 0, height = embed ? given : given * Math.min(1.8, 0.6 + 0.4 * most);
  for (const level of levels) {
    const limit = level.columns.length === 1 ? MOST : Math.max(3, Math.floor(12 / level.columns.length));
    for (const column of level.columns) {
      const alike = column.weights ? [] : column.reads.map(k => columns[k]).filter(({ units, image }) => units === column.units && !image);
      column.shown = column.image ? 1 : Math.min(column.units > limit ? limit - 1 : column.units, ...alike.map(({ shown }) => shown));
    }
    level.taken = level.lanes.length * LANE + (level.columns.length - 1) * GAP + level.columns.length * headed;
  }
  // hidden units take as much as one that is shown
  const high = ({ columns }) => columns.reduce((sum, { units, shown, image }) => sum + shown + (units > shown && !image ? 1 : 0), 0);
  const pitch = Math.min(56, ...levels.map(level => (height - level.taken) / Math.max(high(level), 4) * 0.985));
  const size = Math.floor(pitch * 0.8);
  const big = column => column.image ? size * 2.4 : size;
  for (const level of levels) {
    level.wide = Math.max(...level.columns.map(big));
    level.near = level.columns.every(column => column.elementwise);
  }
  const near = levels.filter(level => level.near).length, gaps = levels.length - 1 - near, least = embed ? 16 : columns.some(column => column.fixed) ? 48 : 66;
  const sizes = levels.reduce((sum, { wide }) => sum + wide, before + after);
  const tight = sizes + near * 54 + gaps * (least + 10) > room;
  const narrow = embed ? 10 : tight ? 46 : 54;
  const used = sizes + near * narrow, gap = Math.max(least, Math.min(190, (room - used) / Math.max(1, gaps))), width = Math.max(room, Math.ceil(used + gaps * gap));
  let x = before + Math.max(0, (width - used - gaps * gap) / 2);
  levels.forEach((level, i) => {
    if (i) x += level.near ? narrow : gap;
    const tall = column => (column.image ? big(column) : column.shown * pitch) + (column.units > column.shown && !column.image ? 20 : 0) + headed;
    let y = (height - level.slots.reduce((sum, slot) => sum + (slot.units ? tall(slot) : LANE), (level.columns.length - 1) * GAP)) / 2;
    for (const slot of level.slots) {
      slot.x = x;
      if (slot.units) {
        slot.wide = big(slot);
        slot.top = y;
        slot.y = Array.from({ length: slot.shown }, (_, j) => y + headed + j * pitch + (slot.image ? 0 : (pitch - size) / 2));
        y += tall(slot) + GAP;
        slot.bottom = stacked ? y - GAP : height;
      } else {
        slot.wide = level.wide;
        slot.middle = y + LANE / 2;
        y += LANE;
      }
    }
    x += level.wide;
  });
  return { size, narrow, width, height, lanes, graph, stacked };
}

// The levels: {columns, lanes, slots}, the slots being both in the order from top to bottom, by where that is what they read.
function arranged(columns) {
  const levels = Array.from({ length: 1 + Math.max(...columns.map(({ level }) => level)) }, () => ({ columns: [], lanes: [] }));
  for (const column of columns) {
    levels[column.level].columns.push(column);
    for (const source of column.reads) {
      for (let level = columns[source].level + 1; level < column.level; level++) {
        if (!levels[level].lanes.some(lane => lane.source === source)) levels[level].lanes.push({ source, reads: [source] });
      }
    }
  }
  let order = new Map();
  for (const level of levels) {
    const from = ({ reads }) => reads.reduce((sum, source) => sum + (order.get(source) ?? 0), 0) / (reads.length || 1);
    level.slots = [...level.columns, ...level.lanes].map(slot => [from(slot), slot]).sort(([a], [b]) => a - b).map(([, slot]) => slot);
    order = new Map(level.slots.map((slot, i) => [slot.source ?? columns.indexOf(slot), (i + 0.5) / level.slots.length]));
  }
  const lanes = new Map(levels.flatMap(({ lanes }, i) => lanes.map(lane => [`${lane.source} ${i}`, lane])));
  const stacked = columns.some(({ level }, i) => level !== i), graph = stacked || columns.some(({ reads }) => reads.length > 1);
  return { levels, lanes, graph, stacked };
}

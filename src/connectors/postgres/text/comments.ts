/** Finds comments that are nested too deep, in one pass and without the parser. Pure. */

/** What hides the start of a comment: strings, quoted names, dollar quotes, and `--` up to the line's end. */
const NEXT =
  /--[^\r\n]*|\/\*|(?<![\w$\u0080-\uffff])[eE]'|'|"|(?<![\w$\u0080-\uffff])\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/g;
const COMMENT_MARK = /\/\*|\*\//g;
const STRING_END = /'/g;
const ESCAPED_END = /(?:[^'\\]|\\[^])*'/y;
const NAME_END = /"/g;

/** Where a comment opens that lies deeper than `depthMax`; -1 where none does. */
export function deepComment(text: string, depthMax: number): number {
  NEXT.lastIndex = 0;
  for (let found = NEXT.exec(text); found !== null; found = NEXT.exec(text)) {
    const [mark] = found;
    const from = NEXT.lastIndex;
    let to = from;
    if (mark === '/*') {
      const { deep, end } = comment(text, from, depthMax);
      if (deep >= 0) return deep;
      to = end;
    } else if (mark === "'") to = after(STRING_END, text, from);
    else if (mark === '"') to = after(NAME_END, text, from);
    else if (mark.startsWith('$')) {
      const at = text.indexOf(mark, from);
      to = at < 0 ? text.length : at + mark.length;
    } else if (!mark.startsWith('-')) to = after(ESCAPED_END, text, from);
    NEXT.lastIndex = to;
  }
  return -1;
}

/** `from` is behind the first `/*`. A text that does not end it has no more to look at. */
function comment(
  text: string,
  from: number,
  depthMax: number,
): { readonly deep: number; readonly end: number } {
  let depth = 1;
  COMMENT_MARK.lastIndex = from;
  for (let found = COMMENT_MARK.exec(text); found !== null; found = COMMENT_MARK.exec(text)) {
    depth += found[0] === '/*' ? 1 : -1;
    if (depth > depthMax) return { deep: found.index, end: found.index };
    if (depth === 0) return { deep: -1, end: COMMENT_MARK.lastIndex };
  }
  return { deep: -1, end: text.length };
}

/** A quote that is doubled ends one string here and begins the next, which comes to the same. */
function after(end: RegExp, text: string, from: number): number {
  end.lastIndex = from;
  return end.exec(text) === null ? text.length : end.lastIndex;
}

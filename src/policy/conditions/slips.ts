/** What is wrong with the text of a condition, and what to do about it, in words of ours. */
import { nearest } from '../../lib/nearest.ts';

/** Where the parser or the type check stopped, and the names that a condition may use. */
export interface Slip {
  readonly text: string;
  /** UTF-16 units into the text. */
  readonly offset: number;
  readonly variables: readonly string[];
  readonly fields: readonly string[];
}

const TOKENS: Readonly<Record<string, string>> = {
  EOF: 'its end',
  LPAREN: '`(`',
  RPAREN: '`)`',
  LBRACKET: '`[`',
  RBRACKET: '`]`',
  LBRACE: '`{`',
  RBRACE: '`}`',
  COLON: '`:`',
  COMMA: '`,`',
  DOT: '`.`',
  EQ: '`==`',
  NE: '`!=`',
  LT: '`<`',
  LE: '`<=`',
  GT: '`>`',
  GE: '`>=`',
  AND: '`&&`',
  OR: '`||`',
};

/** What other languages write, and CEL does not. */
const OTHERWISE: Readonly<Record<string, string>> = {
  '=': '==',
  '&': '&&',
  '|': '||',
  and: '&&',
  or: '||',
};

type Say = (slip: Slip, first: string, second: string) => string;

const SAYINGS: readonly (readonly [summary: RegExp, say: Say])[] = [
  [
    /^expected (\w+), got (\w+)/i,
    (_slip, expected, found) =>
      `expected ${token(expected)}, found ${token(found)}; add ${token(expected)}, or remove what asks for it`,
  ],
  [
    /^unexpected token: (\w+)/i,
    (_slip, found) =>
      `${IN_CEL}, found ${token(found)} where a value or a name belongs; write the value, or remove what asks for it`,
  ],
  [/^unexpected character: '?(.)/i, unexpectedCharacter],
  [
    /^no such key: (\S+)/i,
    ({ fields }, key) => `${IN_CEL}, found no such key: ${key}; ${instead(key, fields)}`,
  ],
  [
    /^unknown variable: (\S+)/i,
    ({ variables }, name) =>
      `${IN_CEL}, found unknown variable: ${name}; ${instead(name, variables)}, or put it in quotes if it is a text`,
  ],
  [
    /^no such overload: (.+)/is,
    (_slip, kinds) =>
      `${IN_CEL}, found no such overload: ${kinds}; have values of one type on both sides`,
  ],
  [
    /^found no matching overload for (.+)/is,
    (_slip, call) =>
      `${IN_CEL}, found no function ${call}; correct its name, or what it is called with`,
  ],
  [/^(unterminated string)/i, () => `${IN_CEL}, found a text that does not end; close its quotes`],
  [
    /^(exceeded .+)/is,
    (_slip, bound) => `${IN_CEL}, found ${lower(bound)}; make it shorter, or several lines of it`,
  ],
];

const IN_CEL = 'expected a condition in CEL';

/** Says `expected …, found …; what to do` of what the parser or the type check said in short. */
export function slipText(summary: string, slip: Slip): string {
  for (const [pattern, say] of SAYINGS) {
    const found = pattern.exec(summary);
    if (found !== null) return say(slip, found[1] ?? '', found[2] ?? '');
  }
  const said = lower(summary);
  return `${said.startsWith('expected') ? said : `${IN_CEL}, found ${said}`}; correct it`;
}

function unexpectedCharacter({ text, offset }: Slip, character: string): string {
  const rest = text.slice(offset);
  const found = /^\w+/.exec(rest)?.[0] ?? (rest.charAt(0) || character);
  const right = OTHERWISE[found.toLowerCase()];
  const remedy =
    right === undefined ? 'remove it, or put it in quotes if it is a text' : `write \`${right}\``;
  return `${IN_CEL}, found \`${found}\` where it has no meaning; ${remedy}`;
}

function instead(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? `write one of ${known.join(', ')}` : `write \`${near}\``;
}

function token(name: string): string {
  return TOKENS[name] ?? name;
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

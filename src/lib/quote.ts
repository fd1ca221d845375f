const QUOTED_LENGTH_MAX = 100;

/** Foreign text inside a sentence of ours: in backticks, short, and nothing but visible ASCII. */
export function quote(text: string): string {
  const visible = text.slice(0, QUOTED_LENGTH_MAX).replaceAll(/[^ !-_a-~]/g, '?');
  return `\`${visible}${text.length > QUOTED_LENGTH_MAX ? '…' : ''}\``;
}

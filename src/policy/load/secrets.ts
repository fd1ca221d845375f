/** What looks like a secret in the text of a configuration file, which the ledger keeps. */

const REFERENCE = /\$\{(?:env|file):[^}]*\}/g;
const SECRET_NAME = /(?:password|secret|token|key)$/i;
const SCHEME = /[a-z][a-z0-9+.-]*:\/\//gi;
/** Of what is not quite a URL: pools name several hosts, and passwords hold what they may not. */
const USER_PART = /:\/\/[^/?#:@]*:[^@]+@/;
const PARAMETER = /(?:^|[?&;\s])(?:\w*password|passwd|pwd|secret|token)\s*=\s*[^&;\s]/i;
const SHOWN_PASSWORD = /(:\/\/[^\s/?#:@]*:)[^\s@`]+@/g;

/** Reports whether a setting of this name holds a secret, whatever its value looks like. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** Reports whether there is more than references: `${env:NAME}` and `${file:PATH}`. */
export function isWrittenOut(text: string): boolean {
  return text.replaceAll(REFERENCE, '').trim() !== '';
}

/** Reports whether a password is written out in a URL or a connection string. */
export function hasPassword(text: string): boolean {
  const own = text.replaceAll(REFERENCE, '');
  if (PARAMETER.test(own)) return true;
  return [...own.matchAll(SCHEME)].some(({ index }) => {
    const url = own.slice(index);
    return URL.canParse(url) ? new URL(url).password !== '' : USER_PART.test(url);
  });
}

/** Leaves the password out of every URL in a text that is going to be shown. */
export function withoutPasswords(text: string): string {
  return text.replaceAll(SHOWN_PASSWORD, '$1…@');
}

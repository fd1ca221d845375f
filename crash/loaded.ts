/** What a gateway says once its code is loaded: from here on it looks at what the one before it left. */
export const LOADED = '{"loaded":true}';

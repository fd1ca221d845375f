import assert from 'node:assert/strict';
import { test } from 'node:test';
import { saysStop } from './switch.ts';

test('a file stops all writes however it says no, and whatever else is wrong with it', () => {
  const texts = [
    'writes: { enabled: false }',
    'writes:\n  enabled: FALSE\n',
    'writes: { enabled: no }',
    '"writes": { "enabled": "False" }',
    'writes: off',
    'no: such\nkey: at\nall: here\nwrites: { enabled: false }\n',
    'version: 7\ntags: !!int 3\nwrites: { enabled: false }\n',
    'writes: { enabled: true }\nwrites: { enabled: false }\n',
    'writes: { enabled: true, enabled: false }\n',
    'stopped: &stopped { enabled: false }\nwrites: *stopped\n',
    'writes: { enabled: false }\nlimits: [\n',
    'version: 1\nagents: [\nwrites: { enabled: false }\n',
  ];
  for (const text of texts) assert.equal(saysStop(text), true, text);
});

test('a file that does not say it at its top stops nothing', () => {
  const texts = [
    '',
    'version: 1\n',
    'writes: { enabled: true }',
    'writes:\n',
    'writes: { enabled: fals',
    '# writes: { enabled: false }\n',
    'note: |\n  writes: { enabled: false }\n',
    'agents: { writes: { enabled: false } }',
    '- writes: { enabled: false }\n',
    'writes: [ { enabled: false } ]',
    '\u0000\u0001 { [ %',
  ];
  for (const text of texts) assert.equal(saysStop(text), false, text);
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { dependentsOf } from '../stages/dependents.ts';
import { importCatalogue } from './backstage.ts';
import { policyFrom } from '../../../test/support/policy.ts';

const CATALOGUE = `
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: invoices-db
  annotations: { writegate.dev/resource: 'crm/public.invoices, crm/public.lines' }
spec: { type: database, owner: platform }
---
kind: Component
metadata: { name: invoicing, tags: [tier-1] }
spec: { type: service, lifecycle: production, dependsOn: ['resource:default/Invoices-DB'], providesApis: [invoices] }
---
kind: API
metadata: { name: invoices }
spec: { type: openapi }
---
kind: Component
metadata: { name: shop, namespace: web, labels: { criticality: high } }
spec: { type: website, lifecycle: experimental, consumesApis: [default/invoices] }
---
kind: Component
metadata: { name: lonely }
spec: { type: service, lifecycle: production }
---
kind: Resource
metadata: { name: cache }
spec: { type: cache, dependencyOf: ['component:web/shop'] }
---
kind: Group
metadata: { name: platform }
---
just a text
`;

describe('a Backstage catalogue', () => {
  test('becomes lines for what relies on our resources, through components and APIs', () => {
    const { dependents, notes } = importCatalogue([{ name: 'c.yaml', text: CATALOGUE }], []);
    assert.deepEqual(notes, []);
    assert.deepEqual(dependents, [
      {
        name: 'invoices',
        dependsOn: ['invoicing'],
        criticality: 'medium',
        how: 'api, openapi',
      },
      {
        name: 'invoicing',
        target: 'crm',
        resource: ['public.invoices', 'public.lines'],
        criticality: 'critical',
        how: 'component, service, production',
      },
      {
        name: 'web.shop',
        dependsOn: ['invoices'],
        criticality: 'high',
        how: 'component, website, experimental',
      },
    ]);
  });

  test('loads as it is written out, and means what it meant', () => {
    const { dependents } = importCatalogue([{ name: 'c.yaml', text: CATALOGUE }], []);
    const head = 'version: 1\ntargets: { crm: { kind: fake } }\n';
    const { dependents: lines } = policyFrom(`${head}${stringify({ dependents })}`);
    assert.deepEqual(
      dependentsOf(lines, 'crm', ['public.lines']).map(({ name, depth }) => [name, depth]),
      [
        ['invoicing', 1],
        ['invoices', 2],
        ['web.shop', 3],
      ],
    );
  });

  test('takes a mapping for an entity that says nothing of itself, on several targets', () => {
    const mappings = [
      { entity: 'cache', target: 'redis', resource: 'sessions' },
      { entity: 'component:lonely', target: 'crm', resource: 'public.*' },
      { entity: 'resource:default/cache', target: 'crm', resource: 'public.cache' },
    ];
    const { dependents } = importCatalogue([{ name: 'c.yaml', text: CATALOGUE }], mappings);
    assert.deepEqual(
      dependents
        .filter(({ name }) => name.startsWith('web.shop'))
        .map(({ name, target, resource, dependsOn }) => [name, target, resource, dependsOn]),
      [
        ['web.shop', 'crm', ['public.cache'], ['invoices']],
        ['web.shop@redis', 'redis', ['sessions'], undefined],
      ],
    );
  });

  test('says what it could not use', () => {
    const twice = `kind: API\nmetadata: {name: a}\n---\nkind: api\nmetadata: {name: A}\n`;
    const { dependents, notes } = importCatalogue([{ name: 'c.yaml', text: twice }], []);
    assert.deepEqual(dependents, []);
    assert.match(notes[0] ?? '', /`api:default\/a` stands in the catalogue twice/);
    assert.match(notes[1] ?? '', /annotate it with `writegate.dev\/resource/);
  });

  test('that is broken, or has no such entity, is refused with the place', () => {
    const mapping = { entity: 'nothing', target: 'crm', resource: 'x' };
    assert.throws(() => importCatalogue([{ name: 'c.yaml', text: CATALOGUE }], [mapping]), {
      code: 'request-invalid',
      message: /no entity `resource:default\/nothing`/,
    });
    assert.throws(() => importCatalogue([{ name: 'c.yaml', text: 'kind: {a: [' }], []), {
      code: 'request-invalid',
      at: /^1:/,
      message: /expected YAML in `c.yaml`/,
    });
  });

  test('whose entities rely on one another in a circle comes to an end', () => {
    const text = ['a', 'b', 'c']
      .map(
        (name, at) =>
          `kind: Component\nmetadata: {name: ${name}}\nspec: {dependsOn: ['component:${'bca'[at]}', 'resource:db']}\n`,
      )
      .join('---\n');
    const db = `---\nkind: Resource\nmetadata: {name: db}\n`;
    const mapping = { entity: 'db', target: 'crm', resource: 'public.a' };
    const { dependents } = importCatalogue([{ name: 'c.yaml', text: text + db }], [mapping]);
    assert.deepEqual(
      dependents.map(({ name }) => name),
      ['a', 'b', 'c'],
    );
  });
});

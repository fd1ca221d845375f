/**
 * A Backstage catalogue as lines of `dependents`: who relies on what this gateway writes to.
 *
 * Read are entities (`catalog-info.yaml`, several documents to a file) and of each `dependsOn`,
 * `dependencyOf`, `consumesApis` and `providesApis`. Which of our resources an entity stands for is
 * not in a catalogue: the annotation `writegate.dev/resource: TARGET/RESOURCE` says it, or a mapping.
 */
import { parseAllDocuments } from 'yaml';
import { isRecord, recordOf } from '../../lib/record.ts';
import { CRITICALITIES, type Criticality } from '../../model/dependents.ts';
import { Problem } from '../../model/problem.ts';
import type { DependentShape } from './shape.ts';

export const BACKSTAGE_BOUNDS = { sizeBytesMax: 16_777_216, entitiesMax: 20_000 } as const;

const RESOURCE_ANNOTATION = 'writegate.dev/resource';
const CRITICALITY_ANNOTATION = 'writegate.dev/criticality';

export interface CatalogueFile {
  readonly name: string;
  readonly text: string;
}

/** One entity that stands for resources of a target. */
export interface Mapping {
  /** `[kind:][namespace/]name`; the kind is `resource` where it is left out. */
  readonly entity: string;
  readonly target: string;
  readonly resource: string;
}

export interface Imported {
  readonly dependents: readonly DependentShape[];
  /** What was left out and why, a sentence each. */
  readonly notes: readonly string[];
}

interface Entity {
  /** `kind:namespace/name`, in lower case: as references are compared. */
  readonly reference: string;
  readonly name: string;
  readonly criticality: Criticality;
  readonly how: string;
  /** References that it relies on. */
  readonly reliesOn: Set<string>;
  readonly stands: { readonly target: string; readonly resource: string }[];
}

/**
 * Turns catalogue files into lines, in the order of their names. An entity that reaches none of our
 * resources is no dependent and left out. Problem `request-invalid` where a file is no YAML, is over
 * the bounds, or a mapping names an entity that is not there.
 */
export function importCatalogue(
  files: readonly CatalogueFile[],
  mappings: readonly Mapping[],
): Imported {
  const notes: string[] = [];
  const entities = entitiesOf(files, notes);
  for (const { entity, target, resource } of mappings) {
    const reference = referenceOf(entity, 'resource');
    const found = entities.get(reference);
    if (found === undefined) {
      const message = `the catalogue has no entity \`${reference}\`; name one of its entities as \`kind:namespace/name\``;
      throw new Problem('request-invalid', message, { at: '--map' });
    }
    found.stands.push({ target, resource });
  }
  if (![...entities.values()].some(({ stands }) => stands.length > 0)) {
    notes.push(
      `no entity says which resource it stands for; annotate it with \`${RESOURCE_ANNOTATION}: TARGET/RESOURCE\` or map it`,
    );
  }
  return { dependents: linesOf(entities), notes };
}

function entitiesOf(files: readonly CatalogueFile[], notes: string[]): Map<string, Entity> {
  const entities = new Map<string, Entity>();
  const inverse: { readonly from: string; readonly to: string }[] = [];
  for (const { name, text } of files) {
    for (const value of documentsOf(name, text)) {
      const entity = entityOf(value);
      if (entity === undefined) continue;
      if (entities.has(entity.reference)) {
        notes.push(`\`${entity.reference}\` stands in the catalogue twice; the first counts`);
        continue;
      }
      entities.set(entity.reference, entity);
      if (entities.size > BACKSTAGE_BOUNDS.entitiesMax) {
        throw tooLarge(`at most ${BACKSTAGE_BOUNDS.entitiesMax} entities`);
      }
      const spec = recordOf(value['spec']);
      for (const each of texts(spec['dependencyOf'])) {
        inverse.push({ from: referenceOf(each, 'component'), to: entity.reference });
      }
      for (const each of texts(spec['providesApis'])) {
        inverse.push({ from: referenceOf(each, 'api'), to: entity.reference });
      }
    }
  }
  for (const { from, to } of inverse) entities.get(from)?.reliesOn.add(to);
  return entities;
}

function documentsOf(name: string, text: string): readonly Readonly<Record<string, unknown>>[] {
  if (Buffer.byteLength(text) > BACKSTAGE_BOUNDS.sizeBytesMax) {
    throw tooLarge(`at most ${BACKSTAGE_BOUNDS.sizeBytesMax} bytes in \`${name}\``);
  }
  const documents = parseAllDocuments(text, { schema: 'core', logLevel: 'error' });
  const values: Readonly<Record<string, unknown>>[] = [];
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) {
      const at = `${error.linePos?.[0].line ?? 1}:${error.linePos?.[0].col ?? 1}`;
      const message = `expected YAML in \`${name}\`, found a slip at ${at}; mend it there`;
      throw new Problem('request-invalid', message, { at });
    }
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (isRecord(value)) values.push(value);
  }
  return values;
}

function tooLarge(expected: string): Problem {
  return new Problem('request-invalid', `expected ${expected}, found more; import a part of it`);
}

/** Undefined for what is no entity, and for people, groups and places, which rely on nothing. */
function entityOf(value: Readonly<Record<string, unknown>>): Entity | undefined {
  const { kind } = value;
  const metadata = recordOf(value['metadata']);
  const { name } = metadata;
  if (typeof kind !== 'string' || typeof name !== 'string') return undefined;
  if (!['component', 'api', 'resource', 'system'].includes(kind.toLowerCase())) return undefined;
  const spec = recordOf(value['spec']);
  const annotations = recordOf(metadata['annotations']);
  const namespace = typeof metadata['namespace'] === 'string' ? metadata['namespace'] : 'default';
  const stated = texts(annotations[RESOURCE_ANNOTATION]).flatMap((each) => each.split(','));
  return {
    reference: `${kind}:${namespace}/${name}`.toLowerCase(),
    name: namespace === 'default' ? name : `${namespace}.${name}`,
    criticality: criticalityOf(metadata, spec),
    how: [kind.toLowerCase(), ...texts(spec['type']), ...texts(spec['lifecycle'])].join(', '),
    reliesOn: new Set([
      ...texts(spec['dependsOn']).map((each) => referenceOf(each, 'component')),
      ...texts(spec['consumesApis']).map((each) => referenceOf(each, 'api')),
    ]),
    stands: stated.flatMap((each) => placeOf(each.trim()) ?? []),
  };
}

/** `TARGET/RESOURCE`; undefined for another text. */
export function placeOf(
  text: string,
): { readonly target: string; readonly resource: string } | undefined {
  const slash = text.indexOf('/');
  if (slash < 1 || slash === text.length - 1) return undefined;
  return { target: text.slice(0, slash), resource: text.slice(slash + 1) };
}

/** What is said outright first; else by the tier that a tag or label gives; else by the life cycle. */
function criticalityOf(
  metadata: Readonly<Record<string, unknown>>,
  spec: Readonly<Record<string, unknown>>,
): Criticality {
  const labels = recordOf(metadata['labels']);
  const stated = [
    recordOf(metadata['annotations'])[CRITICALITY_ANNOTATION],
    labels['criticality'],
  ].find((each) => typeof each === 'string');
  const known = CRITICALITIES.find((each) => each === stated);
  if (known !== undefined) return known;
  const tags = [...texts(metadata['tags']), ...texts(labels['tier']).map((each) => `tier-${each}`)];
  const byTier = ['critical', 'high', 'medium', 'low'] as const;
  for (const [index, criticality] of byTier.entries()) {
    if (tags.some((tag) => tag === `tier-${index + 1}` || tag === `tier${index + 1}`)) {
      return criticality;
    }
  }
  return texts(spec['lifecycle']).some((each) => ['experimental', 'deprecated'].includes(each))
    ? 'low'
    : 'medium';
}

/** `[kind:][namespace/]name` in full and in lower case. */
function referenceOf(text: string, kindDefault: string): string {
  const colon = text.indexOf(':');
  const kind = colon < 0 ? kindDefault : text.slice(0, colon);
  const rest = text.slice(colon + 1);
  const full = rest.includes('/') ? rest : `default/${rest}`;
  return `${kind}:${full}`.toLowerCase();
}

function texts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function linesOf(entities: ReadonlyMap<string, Entity>): readonly DependentShape[] {
  const dependents = reaching(entities);
  const names = namesOf(dependents);
  const nameOf = (reference: string): string => names.get(reference) ?? reference;
  return dependents
    .flatMap((entity) => {
      const relied = [...entity.reliesOn].flatMap((each) => entities.get(each) ?? []);
      const needs = relied.filter((each) => dependents.includes(each));
      const places = relied.flatMap(({ stands }) => stands);
      const targets = [...new Set(places.map(({ target }) => target))].toSorted();
      const { criticality, how, reference } = entity;
      const dependsOn = needs.map((each) => nameOf(each.reference)).toSorted();
      const name = nameOf(reference);
      const needed = dependsOn.length === 0 ? { name } : { name, dependsOn };
      const [first, ...others] = targets;
      if (first === undefined) return [{ ...needed, criticality, how }];
      const at = (target: string): readonly string[] =>
        places.filter((each) => each.target === target).map((each) => each.resource);
      // A line has one list of targets and one of resources: one line a target keeps them apart.
      const further = others.map((target): DependentShape => {
        return { name: `${name}@${target}`, target, resource: at(target), criticality, how };
      });
      const line: DependentShape = {
        ...needed,
        target: first,
        resource: at(first),
        criticality,
        how,
      };
      return [line].concat(further);
    })
    .toSorted((left, right) => (left.name < right.name ? -1 : 1));
}

/** Entities that rely on one that stands for a resource, however many are in between. */
function reaching(entities: ReadonlyMap<string, Entity>): readonly Entity[] {
  const reached = new Set([...entities.values()].filter(({ stands }) => stands.length > 0));
  const dependents = new Set<Entity>();
  for (let before = -1; before !== dependents.size;) {
    before = dependents.size;
    for (const entity of entities.values()) {
      const relied = [...entity.reliesOn].flatMap((each) => entities.get(each) ?? []);
      if (!relied.some((each) => reached.has(each) || dependents.has(each))) continue;
      dependents.add(entity);
    }
  }
  return [...dependents];
}

/** A component and an API of one name are told apart by their kind. */
function namesOf(entities: readonly Entity[]): ReadonlyMap<string, string> {
  return new Map(
    entities.map((entity) => {
      const isShared = entities.some((each) => each !== entity && each.name === entity.name);
      const kind = entity.reference.slice(0, entity.reference.indexOf(':'));
      return [entity.reference, isShared ? `${entity.name}.${kind}` : entity.name];
    }),
  );
}

import { charts } from './charts.ts';
import type { MethodFacts } from './method-facts.ts';
import { modelKinds } from './model-kinds.ts';

/** Groups of the gallery, by what the methods are for; the first that fits takes a method. */
export const methodGroups: readonly { readonly title: string; fits(method: MethodFacts): boolean }[] = [
  { title: 'Layers and kernels', fits: ({ form }) => form === 'functions' },
  { title: 'Models that see images', fits: ({ phases }) => phases.has('Sees images') && !phases.has('Text') },
  { title: 'Diffusion', fits: ({ phases }) => phases.has('Images, videos') },
  { title: 'Text models', fits: () => true },
];

/** The methods of each group that has any. */
export function groupedMethods(
  methods: readonly MethodFacts[],
): { readonly title: string; readonly methods: readonly MethodFacts[] }[] {
  const groupOf = (method: MethodFacts) => methodGroups.find(({ fits }) => fits(method));
  return [...methodGroups]
    .reverse()
    .map((group) => ({ title: group.title, methods: methods.filter((method) => groupOf(method) === group) }))
    .filter(({ methods }) => methods.length > 0);
}

/** Address of a method's picture in the site; undefined where it has none. */
export function pictureOf(slug: string): string | undefined {
  return charts.some((chart) => chart.slug === slug) ? `/pictures/${slug}.svg` : undefined;
}

/** The page that shows every method. */
export function galleryPage(methods: readonly MethodFacts[]): string {
  return [
    '# Methods',
    '',
    `${methods.length} methods, each a package of its own. Every page says what was measured with which command, what the paper published, and when not to use it.`,
    '',
    ...groupedMethods(methods).flatMap((group) => [
      `## ${group.title}`,
      '',
      '<div class="gallery">',
      ...group.methods.map(card),
      '</div>',
      '',
    ]),
    '## What runs where',
    '',
    'Made from what the packages declare: phases, requirements, features. A name of a phase says where the method acts in such a model; what is missing is refused with the reason when a run starts.',
    '',
    ...compatibilityTable(methods),
    '',
    ...modelKinds.map(({ title, examples }) => `- **${title}**: ${examples}`),
    '',
    '**Adapter**: optional WebGPU features that the method needs. All run on adapters with 256 invocations per workgroup, without `shader-f16` and without `subgroups`; the core uses these where they are. **Gradient**: whether one can train through it. **One list**: it restricts attention to a list of keys, of which a layer follows one per phase; two such methods are refused together.',
    '',
  ].join('\n');
}

function card({ slug, title, description }: MethodFacts): string {
  const picture = pictureOf(slug);
  const image = picture ? `<img src="${picture}" alt="" loading="lazy">` : '';
  return `<a class="card" href="./${slug}">${image}<b>${html(title)}</b><span>${html(description)}</span></a>`;
}

/** Markdown rows: a method each, and what it runs with. */
export function compatibilityTable(methods: readonly MethodFacts[]): string[] {
  const header = ['method', ...modelKinds.map(({ title }) => title), 'adapter', 'gradient', 'one list'];
  const rows = methods.map((method) => [
    `[${method.title}](./${method.slug}.md)`,
    ...modelKinds.map(({ title }) => {
      if (method.form === 'functions') return title === 'Text' ? 'a layer or function, see its page' : '';
      return method.phases.get(title)?.join(', ') ?? '–';
    }),
    method.adapterFeatures.join(', ') || 'any',
    method.differentiable ? 'yes' : '–',
    method.listsKeys ? 'yes' : '–',
  ]);
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);
}

/** What stands below the heading of a method's page. */
export function methodHeader(method: MethodFacts): string {
  const runs = [...method.phases].map(([kind, phases]) => `${kind} (${phases.join(', ')})`);
  const paper = /^arXiv ([\d.]+)$/.exec(method.paper ?? '')?.[1];
  const facts = [
    paper ? `[arXiv ${paper}](https://arxiv.org/abs/${paper})` : '',
    runs.length > 0 ? `Runs with: ${runs.join('; ')}` : '',
    method.differentiable ? 'Differentiable' : '',
  ];
  return facts.filter(Boolean).join(' · ');
}

function html(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { workspace } from '../workspace.ts';
import { type ApiReflection, apiIndexPage } from './api-index.ts';
import { charts, drawChart } from './charts.ts';
import { galleryPage, groupedMethods, methodHeader, pictureOf } from './gallery.ts';
import { homePage } from './home-page.ts';
import { type MethodFacts, methodFacts } from './method-facts.ts';
import { pageText } from './page-text.ts';
import { type SitePage, sitePages } from './site-pages.ts';

/** Where the pages are written that the site is built from. */
export const siteFolder = join(workspace, 'apps', 'docs', '.site');

interface SidebarItem {
  readonly text: string;
  readonly link?: string;
  readonly items?: readonly SidebarItem[];
  readonly collapsed?: boolean;
}

/** Writes every page of the site and its sidebar; the API reference stands there already. */
export async function writeSite(): Promise<{ pages: number }> {
  for (const name of existsSync(siteFolder) ? readdirSync(siteFolder) : []) {
    if (name !== 'public' && name !== 'api.json') rmSync(join(siteFolder, name), { recursive: true });
  }
  const pages = sitePages();
  const methods = await methodFacts();
  let written = 0;
  const write = (target: string, text: string) => {
    const file = join(siteFolder, target);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    written++;
  };
  const copy = (from: string, to: string) => {
    mkdirSync(dirname(join(siteFolder, to)), { recursive: true });
    copyFileSync(join(workspace, from), join(siteFolder, to));
  };

  for (const page of pages) {
    const source = readFileSync(join(workspace, page.source), 'utf8');
    const { text, pictures } = pageText(source, page, pages);
    for (const [to, from] of pictures) copy(from, to);
    const method = methods.find(({ slug }) => page.target === `methods/${slug}.md`);
    const list = page.target === 'decisions/index.md' ? `\n${listOf('decisions', pages)}` : '';
    write(page.target, `${frontMatter(page)}${method ? withHeader(text, method) : text}${list}`);
  }
  write('methods/index.md', galleryPage(methods));
  for (const chart of charts) write(`public/pictures/${chart.slug}.svg`, drawChart(chart));
  write('index.md', homePage());

  const modules = apiModules();
  for (const module of modules)
    write(`reference/${moduleFile(module)}.md`, apiIndexPage(module, join(siteFolder, 'public')));
  write('reference/index.md', referencePage(modules));
  writeFileSync(join(siteFolder, 'sidebar.json'), JSON.stringify(sidebar(pages, methods, modules)));
  return { pages: written };
}

function apiModules(): readonly ApiReflection[] {
  const file = join(siteFolder, 'api.json');
  if (!existsSync(file)) return [];
  return (JSON.parse(readFileSync(file, 'utf8')) as ApiReflection).children ?? [];
}

function moduleFile({ name }: ApiReflection): string {
  return name.replace('@saccade/', '').replaceAll('/', '-');
}

function referencePage(modules: readonly ApiReflection[]): string {
  return [
    '# API reference',
    '',
    'From the docstrings of the published packages. Shapes, units and errors are told with each function.',
    '',
    ...modules.map(
      (module) => `- [\`${module.name}\`](./${moduleFile(module)}.md): ${module.children?.length ?? 0} names`,
    ),
    '',
  ].join('\n');
}

/** Links to the other pages of a folder. */
function listOf(folder: string, pages: readonly SitePage[]): string {
  return pages
    .filter(({ target }) => dirname(target) === folder && basename(target) !== 'index.md')
    .map(({ target, title }) => `- [${title}](./${basename(target)})\n`)
    .join('');
}

function frontMatter({ target }: SitePage): string {
  // Decisions are many and say in their headings what they are about.
  return target.startsWith('decisions/') ? '---\noutline: false\n---\n\n' : '';
}

function withHeader(text: string, method: MethodFacts): string {
  const end = text.indexOf('\n', text.indexOf('# ')) + 1;
  const picture = pictureOf(method.slug);
  const image = picture ? `\n![${method.title}](${picture})\n` : '';
  return `${text.slice(0, end)}\n${methodHeader(method)}\n${image}${text.slice(end)}`;
}

/** Guides in the order in which they are read; others follow. */
const guideOrder = [
  'start',
  'run-a-model',
  'write-a-method',
  'attention-engine',
  'profiling',
  'browser',
  'without-a-bundler',
  'methods-that-look-at-images',
  'named-activations',
  'train',
];

function sidebar(
  pages: readonly SitePage[],
  methods: readonly MethodFacts[],
  modules: readonly ApiReflection[],
): SidebarItem[] {
  const link = ({ target }: SitePage) => `/${target.replace(/(?:index)?\.md$/, '')}`;
  const inFolder = (folder: string) => pages.filter(({ target }) => target.startsWith(`${folder}/`));
  const items = (folder: string) => inFolder(folder).map((page) => ({ text: page.title, link: link(page) }));
  const rank = ({ target }: SitePage) =>
    (guideOrder.indexOf(basename(target, '.md')) + guideOrder.length + 1) % (guideOrder.length + 1);
  const guides = inFolder('guides').sort((a, b) => rank(a) - rank(b));
  return [
    { text: 'Guides', items: guides.map((page) => ({ text: page.title, link: link(page) })) },
    {
      text: 'Methods',
      items: [
        { text: 'Gallery, what runs where', link: '/methods/' },
        ...groupedMethods(methods).map((group) => ({
          text: group.title,
          collapsed: true,
          items: group.methods.map(({ slug, title }) => ({ text: title, link: `/methods/${slug}` })),
        })),
      ],
    },
    { text: 'Packages', collapsed: true, items: items('packages') },
    {
      text: 'API reference',
      collapsed: true,
      items: [
        { text: 'All modules', link: '/reference/' },
        ...modules.map((module) => ({ text: module.name, link: `/reference/${moduleFile(module)}` })),
      ],
    },
    { text: 'Architecture', collapsed: true, items: items('architecture') },
    { text: 'Decisions', collapsed: true, items: items('decisions') },
    {
      text: 'Project',
      collapsed: true,
      items: pages
        .filter(({ target }) => !target.includes('/'))
        .map((page) => ({ text: page.title, link: link(page) })),
    },
  ];
}

/** A link or a picture in a text. */
export interface MarkdownLink {
  readonly picture: boolean;
  readonly text: string;
  readonly target: string;
}

// One pass over fenced code, links and inline code, whichever begins first: what is inside code is no link.
const parts = /(^```[\s\S]*?^```[ \t]*$)|(!?)\[((?:[^[\]`]|`[^`]*`|\[[^[\]]*\])*)\]\(([^()\s]+)\)|(`[^`\n]+`)/gm;

/** The text with every link replaced by what `change` returns. Code stays as it is. */
export function mapLinks(text: string, change: (link: MarkdownLink) => string): string {
  return text.replace(parts, (whole, fence?: string, bang?: string, label?: string, target?: string) => {
    if (fence !== undefined || target === undefined) return whole;
    // A picture may be the text of a link.
    return change({ picture: bang === '!', text: mapLinks(label ?? '', change), target });
  });
}

/** The targets of a text's links and pictures, in order, those of HTML's `src`, `srcset` and `href` too. */
export function linkTargets(text: string): string[] {
  const found: string[] = [];
  const rest = mapLinks(text, ({ target }) => {
    found.push(target);
    return '';
  });
  const prose = rest.replace(/^```[\s\S]*?^```[ \t]*$|`[^`\n]+`/gm, '');
  for (const [, target = ''] of prose.matchAll(/<[a-z][^>]*\s(?:src|srcset|href)="([^"\s]+)"/g)) found.push(target);
  return found;
}

/** The names that headings of a text can be linked by, as GitHub makes them. */
export function headingAnchors(text: string): Set<string> {
  const prose = text.replace(/^```[\s\S]*?^```[ \t]*$/gm, '');
  const anchors = new Set<string>();
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} +(.+)$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const slug = plain
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    let name = slug;
    for (let n = 1; anchors.has(name); n++) name = `${slug}-${n}`;
    anchors.add(name);
  }
  return anchors;
}

/** The text so that the site's generator, which reads pages as components, shows it as it is. */
export function escapeForComponents(text: string): string {
  return text.replace(
    /(^```[\s\S]*?^```[ \t]*$|`[^`\n]+`)|\{\{|<(?!\/?(?:a|b|br|em|img|kbd|p|picture|source|sub|sup)\b)/gm,
    (found, code?: string) => (code !== undefined ? found : found === '<' ? '&lt;' : '&#123;&#123;'),
  );
}

/** What scenes are made of: twelve shapes in three themes, and eight colours. */

/** A shape that a scene shows, by its noun. */
export type Noun = keyof typeof plurals;

const plurals = {
  star: 'stars',
  moon: 'moons',
  ring: 'rings',
  cup: 'cups',
  circle: 'circles',
  heart: 'hearts',
  bow: 'bows',
  arrow: 'arrows',
  square: 'squares',
  triangle: 'triangles',
  diamond: 'diamonds',
  cross: 'crosses',
} as const;

export const nouns = Object.keys(plurals) as readonly Noun[];

export const pluralOf = (noun: Noun): string => plurals[noun];

/** Eight colours as red, green and blue from 0 to 255. */
export const colours = {
  red: [220, 40, 40],
  green: [40, 170, 60],
  blue: [50, 80, 230],
  yellow: [235, 215, 50],
  orange: [240, 135, 30],
  purple: [150, 50, 190],
  white: [240, 240, 240],
  cyan: [60, 210, 220],
} as const;

export type Colour = keyof typeof colours;

export const colourNames = Object.keys(colours) as readonly Colour[];

/**
 * Shapes that occur together. A scene has one theme; `weight` is how often, and each noun's number how often it is drawn, both
 * relative to their kind.
 */
export const themes: readonly { readonly weight: number; readonly nouns: readonly (readonly [Noun, number])[] }[] = [
  {
    weight: 9,
    nouns: [
      ['star', 4],
      ['moon', 3],
      ['ring', 2],
      ['cup', 1],
    ],
  },
  {
    weight: 7,
    nouns: [
      ['circle', 4],
      ['heart', 3],
      ['bow', 2],
      ['arrow', 1],
    ],
  },
  {
    weight: 4,
    nouns: [
      ['square', 4],
      ['triangle', 3],
      ['diamond', 2],
      ['cross', 1],
    ],
  },
];

/** Of 100 objects, so many come from the theme; the others are any noun. */
export const themePercent = 85;

/** Of 100 objects, so many have the colour that is usual for their noun; the others have any. */
export const usualColourPercent = 30;

/** The colour that a noun usually has. */
export const usualColour = (noun: Noun): Colour => colourNames[nouns.indexOf(noun) % colourNames.length] as Colour;

/** How probable a noun is for one object of a theme. */
function shareInTheme(noun: Noun, theme: (typeof themes)[number]): number {
  const total = theme.nouns.reduce((sum, [, weight]) => sum + weight, 0);
  const own = theme.nouns.find(([name]) => name === noun)?.[1] ?? 0;
  return ((themePercent / 100) * own) / total + (100 - themePercent) / 100 / nouns.length;
}

const themeTotal = themes.reduce((sum, { weight }) => sum + weight, 0);

/** How probable it is that an object is a `noun`: what "popular" means. */
export function popularity(noun: Noun): number {
  return themes.reduce((sum, theme) => sum + (theme.weight / themeTotal) * shareInTheme(noun, theme), 0);
}

/** How probable it is that two objects of one scene are `a` and `b`, in this order: what "adversarial" means. */
export function cooccurrence(a: Noun, b: Noun): number {
  return themes.reduce(
    (sum, theme) => sum + (theme.weight / themeTotal) * shareInTheme(a, theme) * shareInTheme(b, theme),
    0,
  );
}

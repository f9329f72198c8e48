/** Marks the visible section in the navigation bar. */

export function startNavigation() {
  const links = [...document.querySelectorAll('.bar nav a')];
  const parts = links.map((link) => document.querySelector(link.getAttribute('href') ?? ''));
  const mark = () => {
    const middle = innerHeight * 0.4;
    const at = parts.findLastIndex((part) => part !== null && part.getBoundingClientRect().top < middle);
    links.forEach((link, other) => (other === at ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current')));
  };
  addEventListener('scroll', mark, { passive: true });
  addEventListener('resize', mark, { passive: true });
  mark();
}

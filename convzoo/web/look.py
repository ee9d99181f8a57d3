"""How the page looks: the colours of ``explain.draw.STYLE``, the system's own fonts, light and dark."""

from pathlib import Path
from typing import Any

from convzoo.explain import draw

HERE = Path(__file__).parent
ACCENT = "#33557f"
COLOURS = {  # Gradio's names: light, dark; the values are STYLE's
    "body_background_fill": ("#fbfaf7", "#141518"),
    "body_text_color": ("#1f2023", "#e9e7e2"),
    "body_text_color_subdued": ("#66686e", "#a0a2a8"),
    "background_fill_primary": ("#fff", "#1c1e22"),
    "background_fill_secondary": ("#fbfaf7", "#141518"),
    "block_background_fill": ("#fff", "#1c1e22"),
    "block_label_background_fill": ("#fff", "#1c1e22"),
    "block_label_text_color": ("#66686e", "#a0a2a8"),
    "block_title_text_color": ("#1f2023", "#e9e7e2"),
    "block_border_color": ("#e4e1da", "#33363c"),
    "border_color_primary": ("#e4e1da", "#33363c"),
    "border_color_accent": (ACCENT, "#8fb3dd"),
    "color_accent_soft": ("#eef2f7", "#252a32"),
    "input_background_fill": ("#fff", "#141518"),
    "input_border_color": ("#cfcbc2", "#4a4e55"),
    "checkbox_label_background_fill": ("#fbfaf7", "#141518"),
    "checkbox_label_background_fill_selected": ("#eef2f7", "#252a32"),
    "checkbox_label_border_color_selected": (ACCENT, "#8fb3dd"),
    "checkbox_background_color_selected": (ACCENT, "#5d8bc0"),
    "button_primary_background_fill": (ACCENT, "#5d8bc0"),
    "button_primary_background_fill_hover": ("#27446a", "#76a1d3"),
    "button_primary_text_color": ("#fff", "#101114"),
    "button_secondary_background_fill": ("#f3f1ec", "#25282d"),
    "button_secondary_background_fill_hover": ("#e9e6df", "#2f3339"),
    "button_secondary_text_color": ("#1f2023", "#e9e7e2"),
    "slider_color": (ACCENT, "#8fb3dd"),
    "link_text_color": (ACCENT, "#8fb3dd"),
}
HEADING = """<header class="cz-head"><h1>convzoo</h1>
<p>A convolution is a weighted sum over a few named neighbours. Here you see it slide over a picture, run along a sound,
and pass over the edges of a graph.</p></header>"""


def theme(gradio: Any) -> Any:
    """Gradio's plainest theme in these colours; no font is fetched."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"], ["ui-monospace", "monospace"]
    sizes = gradio.themes.sizes
    base = gradio.themes.Base(
        primary_hue="slate", neutral_hue="stone", radius_size=sizes.radius_sm, font=fonts[0], font_mono=fonts[1]
    )
    light = {name: values[0] for name, values in COLOURS.items()}
    dark = {f"{name}_dark": values[1] for name, values in COLOURS.items()}
    return base.set(**light, **dark)


def head() -> str:
    """The style sheet and the script that every tab shares, inline."""
    style = draw.STYLE + (HERE / "page.css").read_text()
    script = (HERE / "page.js").read_text()
    return f"<style>{style}</style><script>{script}</script>"


def script(name: str) -> str:
    """The script of one component, which Gradio runs with ``element``, ``props``, ``trigger`` and ``watch``."""
    return (HERE / name).read_text()

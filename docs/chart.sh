#!/usr/bin/env bash
# Draws docs/quota-used.svg from the table behind <!-- chart --> in docs/performance.md: the name of a row, and the share in its
# second column.
set -euo pipefail
cd "$(dirname "$0")"

awk -F' *[|] *' '
  /<!-- chart -->/ { reading = 1; next }
  reading && /^\|/ { if ($3 ~ /^[0-9.]+$/) { names[++rows] = $2; shares[rows] = $3 } next }
  reading && rows { exit }
  END {
    left = 330; full = 340; bar = 18; step = 28; top = 34
    height = top + rows * step + 12
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", left + full + 70, height
    printf "<title>Share of the quota used</title>\n"
    print "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
    for (row = 1; row <= rows; row++) {
      y = top + (row - 1) * step
      printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", left - 10, y + 14, names[row]
      printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"#5b6cff\"/>\n", left, y, full * shares[row], bar
      printf "<text x=\"%.1f\" y=\"%d\">%s</text>\n", left + full + 14, y + 14, shares[row]
    }
    # All that the headroom of 2 % leaves.
    x = left + full * 0.98
    printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#222222\" stroke-dasharray=\"4 3\"/>\n", x, top - 8, x, height - 8
    printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">0.98 is all there is</text>\n", x - 20, top - 14
    print "</svg>"
  }
' performance.md >quota-used.svg

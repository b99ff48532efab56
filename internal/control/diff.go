package control

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const diffContext = 3 // lines shown around a change

// diff returns how b differs from a as a unified diff with one hunk, which patch(1) takes. It is made for edits:
// two texts that are the same but for a few lines near each other. It is "" if they are the same.
func diff(path string, a, b []byte) string {
	if bytes.Equal(a, b) {
		return ""
	}
	old, news := splitLines(a), splitLines(b)
	first := 0
	for first < min(len(old), len(news)) && old[first] == news[first] {
		first++
	}
	same := 0
	for same < min(len(old), len(news))-first && old[len(old)-1-same] == news[len(news)-1-same] {
		same++
	}
	from := max(first-diffContext, 0)
	after := min(same, diffContext)
	oldEnd, newEnd := len(old)-same, len(news)-same

	var w strings.Builder
	fmt.Fprintf(&w, "--- %s\n+++ %s\n", path, path)
	fmt.Fprintf(&w, "@@ -%s +%s @@\n", hunkRange(from, oldEnd+after), hunkRange(from, newEnd+after))
	for _, line := range old[from:first] {
		writeDiffLine(&w, ' ', line)
	}
	diffLines(&w, old[first:oldEnd], news[first:newEnd])
	for _, line := range old[oldEnd : oldEnd+after] {
		writeDiffLine(&w, ' ', line)
	}
	return w.String()
}

func hunkRange(from, to int) string {
	if from == to {
		return fmt.Sprintf("%d,0", from)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

// diffLines writes the shortest way from old to news, by longest common subsequence. Regions too large for
// that are written as a whole.
func diffLines(w *strings.Builder, old, news []string) {
	const tooLarge = 1 << 20
	var common [][]int // common[i][j] is the length of the longest common subsequence of old[i:] and news[j:]
	if len(old)*len(news) <= tooLarge {
		common = make([][]int, len(old)+1)
		common[len(old)] = make([]int, len(news)+1)
		for i := range slices.Backward(old) {
			common[i] = make([]int, len(news)+1)
			for j := range slices.Backward(news) {
				common[i][j] = max(common[i+1][j], common[i][j+1])
				if old[i] == news[j] {
					common[i][j] = common[i+1][j+1] + 1
				}
			}
		}
	}
	i, j := 0, 0
	for i < len(old) || j < len(news) {
		switch {
		case common != nil && i < len(old) && j < len(news) && old[i] == news[j]:
			writeDiffLine(w, ' ', old[i])
			i, j = i+1, j+1
		case i < len(old) && (common == nil || j == len(news) || common[i+1][j] >= common[i][j+1]):
			writeDiffLine(w, '-', old[i])
			i++
		default:
			writeDiffLine(w, '+', news[j])
			j++
		}
	}
}

func writeDiffLine(w *strings.Builder, sign byte, line string) {
	w.WriteByte(sign)
	w.WriteString(line)
	if !strings.HasSuffix(line, "\n") {
		w.WriteString("\n\\ No newline at end of file\n")
	}
}

// splitLines splits after each LF, which is all that patch(1) knows.
func splitLines(src []byte) []string {
	lines := strings.SplitAfter(string(src), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

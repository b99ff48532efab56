package triage

import "strings"

// Nearest returns the word of the list that somebody may have meant: the first one that holds what was typed
// ("redirect" in "redirect-https"), else the one that takes the fewest insertions, deletions, replacements and swaps
// of neighbours to become from it. It is "" if no word is near: if even the nearest takes more of them than half of
// what was typed. Case counts as no difference.
func Nearest(typed string, words []string) string {
	best, least := "", len(typed)/2+1
	for _, w := range words {
		if typed != "" && strings.Contains(strings.ToLower(w), strings.ToLower(typed)) {
			return w
		}
		if d := distance(typed, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is Levenshtein's, over bytes with ASCII case folded, where two neighbours that have changed places count once
// ("grcp" for "grpc"), as they do to the fingers.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			same := lower(a[i]) == lower(b[j])
			next[j+1] = min(row[j]+1, row[j+1]+1, next[j]+1)
			if same {
				next[j+1] = row[j]
			}
			if i > 0 && j > 0 && lower(a[i]) == lower(b[j-1]) && lower(a[i-1]) == lower(b[j]) {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

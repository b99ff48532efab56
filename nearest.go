package triage

import "strings"

// Nearest returns the word of the list that somebody may have meant: the first one that holds what was typed
// ("redirect" in "redirect-https"), else the one that takes the fewest insertions, deletions and replacements
// to become from it. It is "" if no word is near: if even the nearest takes more of them than half of what was
// typed. Case counts as no difference.
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

// distance is Levenshtein's, over bytes with ASCII case folded.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if lower(a[i]) != lower(b[j]) {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

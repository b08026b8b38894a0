// Package csvfile reads the CSV files that people have: with commas, semicolons,
// tabs or bars; in UTF-8 or UTF-16, with a byte order mark or without; with lines
// that end in LF, CRLF or, as of old, CR; with a first line "sep=;"; and with
// faults.
//
//	r := csvfile.NewReader(file, 1<<20)
//	columns, err := r.Header(func(columns []string) bool { return slices.Contains(columns, "id") })
//	for {
//		record, err := r.Read()
//		…
//	}
//
// A file without faults that uses commas and does not end its lines in CR is read
// as encoding/csv reads it. A fault costs one line: where a quote is not closed,
// encoding/csv takes the rest of the file for a field, or what stands before the
// next quote; Reader goes on at the line after the quote.
//
// Memory is bounded by the size of a record, which the caller sets.
package csvfile

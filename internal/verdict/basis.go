package verdict

// Basis says what ties rest on.
type Basis int

const (
	// MannWhitney compares cells of four samples and more with the best.
	MannWhitney Basis = iota
	// Repeats takes the noise from the pooled scatter of two or three samples
	// per cell.
	Repeats
	// Reference is for one sample per cell: the noise comes from a reference
	// cell that was measured again and again.
	Reference
	// Residuals is for one sample per cell and no reference: the noise comes
	// from the scatter of the cells around their neighbours.
	Residuals
	// Unknown means that there are too few samples to say anything: nothing
	// can be told apart.
	Unknown
)

// String names the basis as a summary would: "ties rest on …".
func (b Basis) String() string {
	switch b {
	case MannWhitney:
		return "a Mann–Whitney test of each cell's samples against the best's, Benjamini–Hochberg at 5 %"
	case Repeats:
		return "the scatter of repeated samples"
	case Reference:
		return "the repeats of the reference cell"
	case Residuals:
		return "the scatter of single samples around their neighbours"
	default:
		return "too few samples to tell any cells apart"
	}
}

package verdict

// Basis is what the noise of a sample was estimated from.
type Basis int

const (
	// Assumed means that there are too few cells and samples to tell noise
	// from shape.
	Assumed Basis = iota
	// Residuals is for one sample per cell: the scatter around what rows and columns
	// let expect.
	Residuals
	// Repeats is the scatter of repeated samples of cells.
	Repeats
)

// String names the basis as a summary would: "noise is estimated from …".
func (b Basis) String() string {
	switch b {
	case Repeats:
		return "the scatter of repeated samples"
	case Residuals:
		return "the scatter of single samples around their rows and columns"
	default:
		return "experience: with so few cells and samples noise can't be told from shape"
	}
}

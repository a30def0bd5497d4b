package verdict

// Basis is what the noise of a sample was estimated from.
type Basis int

const (
	// Assumed is a default, used where too few cells and samples make it impossible to
	// distinguish noise from real differences between cells.
	Assumed Basis = iota
	// Residuals is the scatter of single samples around the fit of rows and columns.
	Residuals
	// Repeats is the scatter of repeated samples of cells.
	Repeats
)

// String describes the basis so that it completes "noise is estimated from …".
func (b Basis) String() string {
	switch b {
	case Repeats:
		return "the scatter of repeated samples"
	case Residuals:
		return "the scatter of single samples around their rows and columns"
	default:
		return "a default, since so few cells and samples can't distinguish noise from real differences"
	}
}

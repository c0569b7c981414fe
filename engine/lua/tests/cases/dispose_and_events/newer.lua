error "fails"

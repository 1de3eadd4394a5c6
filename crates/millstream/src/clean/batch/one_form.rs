//! Floats in the one form in which engines compare them alike: DataFusion compares by total order, in which -0.0 is less than 0.0
//! and NaNs lie at both ends by their sign, which processors set as they like.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// The expression, a float, with 0.0 for -0.0 and one NaN for all.
pub(super) fn one_form(expr: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(OneForm::new())));
    FUNCTION.call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneForm {
    signature: Signature,
}

impl OneForm {
    fn new() -> Self {
        let floats = [DataType::Float32, DataType::Float64].map(|of| TypeSignature::Exact(vec![of]));
        Self { signature: Signature::one_of(floats.to_vec(), Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OneForm {
    fn name(&self) -> &'static str {
        "one_form"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        arguments.first().cloned().ok_or_else(|| DataFusionError::Plan("`one_form` takes a float".to_owned()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [values] = &arrays[..] else {
            return Err(DataFusionError::Plan("`one_form` takes a float".to_owned()));
        };
        Ok(ColumnarValue::Array(of_array(values)))
    }
}

/// Floats in their one form; others as they are.
fn of_array(values: &ArrayRef) -> ArrayRef {
    if let Some(doubles) = values.as_primitive_opt::<Float64Type>() {
        return Arc::new(doubles.unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value + 0.0 }));
    }
    if let Some(floats) = values.as_primitive_opt::<Float32Type>() {
        return Arc::new(floats.unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value + 0.0 }));
    }
    Arc::clone(values)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Float64Array};

    use super::*;

    #[test]
    fn there_is_one_nan_and_one_zero() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), Some(-f64::NAN), None, Some(1.5)]));
        let formed = of_array(&values);
        let formed = formed.as_primitive::<Float64Type>();
        let bits: Vec<u64> = formed.values().iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits[..2], [0.0_f64.to_bits(), f64::NAN.to_bits()]);
        assert!(formed.is_null(2));
        assert_eq!(formed.value(3).to_bits(), 1.5_f64.to_bits());
    }
}

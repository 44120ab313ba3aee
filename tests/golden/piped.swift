// Swift classes for the custom layers of a Core ML model, written by mlexplorer.
//
// This source is uncompiled: no Swift compiler has seen it. Complete the classes where they throw
// SkeletonError.unfinished, and check the rest.
//
// The model: not saved yet, pipeline
//   input  start: double
//   input  note: string optional
//   output y: multiArray 1 FLOAT32

import CoreML
import Foundation

/// Equal steps
/// For pipeline[0].
@objc(Steps)
final class Steps: NSObject, MLCustomModel {
    private let step: Double  // 0.125

    required init(modelDescription: MLModelDescription, parameters: [String: Any]) throws {
        step = try parameter("step", of: parameters)
        super.init()
    }

    func prediction(
        from input: MLFeatureProvider, options: MLPredictionOptions
    ) throws -> MLFeatureProvider {
        let x0 = try feature("start", of: input).doubleValue  // Double
        let x1 = input.featureValue(for: "note")?.stringValue  // String or absent
        // return an MLDictionaryFeatureProvider with these values:
        // "x": MLMultiArray 3 FLOAT32
        throw SkeletonError.unfinished("Steps")
    }

    // Where many inputs at once are faster, add:
    // func predictions(from: MLBatchProvider, options: MLPredictionOptions) throws -> MLBatchProvider
}

// What the Python class computed, to test Steps with:
//   input  "start": 0.1257302210933933
//   output "x": [3]: 0.12573022, 0.25073022, 0.37573022

/// For the layer 'sum'.
/// Core ML looks for 'Shop.Sum', a name that cannot stand in @objc.
final class Shop_Sum: NSObject, MLCustomLayer {
    required init(parameters: [String: Any]) throws {
        super.init()
    }

    func setWeightData(_ weights: [Data]) throws {
        // there are no weights
    }

    func outputShapes(forInputShapes inputShapes: [[NSNumber]]) throws -> [[NSNumber]] {
        // 'sum': [1, 1, 3, 1, 1] -> [1]
        // outputs: y
        return [[1]]  // as in the lines above; other inputs may need other shapes
    }

    func evaluate(inputs: [MLMultiArray], outputs: [MLMultiArray]) throws {
        // the axes are [Seq, Batch, C, H, W]; write into the outputs
        let x0 = try Elements(inputs[0])  // x
        let y0 = try Elements(outputs[0])  // y
        throw SkeletonError.unfinished("Shop.Sum")
    }

    // To run on the GPU as well, import Metal and add:
    // func encode(commandBuffer: MTLCommandBuffer, inputs: [MTLTexture], outputs: [MTLTexture]) throws
}

/// What the Python class computed in the layer 'sum'.
extension Shop_Sum {
    enum TestVector {
        fileprivate static let inputs: [RecordedArray] = [
            RecordedArray(shape: [1, 1, 3, 1, 1], values: [
                0.12573022, 0.25073022, 0.37573022,
            ]),
        ]
        fileprivate static let outputs: [RecordedArray] = [
            RecordedArray(shape: [1], values: [
                0.75219065,
            ]),
        ]

        /// The largest difference between what the Swift class computes and what the Python class computed.
        static func largestDifference() throws -> Float {
            let parameters: [String: Any] = [:]
            let layer = try Shop_Sum(parameters: parameters)
            try layer.setWeightData([])
            return try RecordedArray.largestDifference(layer, inputs, outputs)
        }
    }
}

private enum SkeletonError: Error {
    case dataType, feature(String), parameter(String), unfinished(String), weights(String)
}

/// A parameter that every layer of a class has.
private func parameter<Value>(_ name: String, of parameters: [String: Any]) throws -> Value {
    guard let value = parameters[name] as? Value else { throw SkeletonError.parameter(name) }
    return value
}

/// The value of an input that must not be absent.
private func feature(_ name: String, of input: MLFeatureProvider) throws -> MLFeatureValue {
    guard let value = input.featureValue(for: name) else { throw SkeletonError.feature(name) }
    return value
}

/// The numbers of an array by their indices. Rows may lie further apart than they are long, which the strides tell;
/// inner loops are faster with `pointer` and `strides`.
private struct Elements {
    let shape: [Int]
    let strides: [Int]
    let pointer: UnsafeMutablePointer<Float>

    init(_ array: MLMultiArray) throws {
        guard array.dataType == .float32 else { throw SkeletonError.dataType }
        shape = array.shape.map { $0.intValue }
        strides = array.strides.map { $0.intValue }
        pointer = array.dataPointer.assumingMemoryBound(to: Float.self)
    }

    subscript(indices: Int...) -> Float {
        get { pointer[offset(indices)] }
        nonmutating set { pointer[offset(indices)] = newValue }
    }

    private func offset(_ indices: [Int]) -> Int {
        zip(indices, strides).reduce(0) { $0 + $1.0 * $1.1 }
    }
}

/// Numbers in row-major order.
private struct RecordedArray {
    let shape: [Int]
    let values: [Float]

    func array() throws -> MLMultiArray {
        let array = try MLMultiArray(shape: shape.map { NSNumber(value: $0) }, dataType: .float32)
        for (index, value) in values.enumerated() { array[index] = NSNumber(value: value) }
        return array
    }

    static func largestDifference(
        _ layer: MLCustomLayer, _ inputs: [RecordedArray], _ outputs: [RecordedArray]
    ) throws -> Float {
        let given = try outputs.map { try $0.array() }
        for array in given {
            for index in 0..<array.count { array[index] = 0 }
        }
        try layer.evaluate(inputs: try inputs.map { try $0.array() }, outputs: given)
        var largest: Float = 0
        for (array, output) in zip(given, outputs) {
            for (index, value) in output.values.enumerated() {
                let difference = abs(array[index].floatValue - value)
                guard difference.isFinite else { return .infinity }
                largest = max(largest, difference)
            }
        }
        return largest
    }
}

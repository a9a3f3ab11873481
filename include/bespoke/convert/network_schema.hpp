#pragma once

/// The messages of a neural network, in the notation of schema.hpp. Core ML specification, NeuralNetwork.proto,
/// Parameters.proto and DataStructures.proto.

#ifdef BESPOKE_IMPLEMENTATION

#include <string_view>

namespace bespoke::detail {

inline constexpr std::string_view network_schema = R"(
NeuralNetwork: NeuralNetworkLayer* layers 1; NeuralNetworkPreprocessing* preprocessing 2;
    NeuralNetworkMultiArrayShapeMapping arrayInputShapeMapping 5; NeuralNetworkImageShapeMapping
    imageInputShapeMapping 6; NetworkUpdateParameters updateParams 10
NeuralNetworkLayer: string name 1; string* input 2 output 3; Tensor* inputTensor 4 outputTensor 5; bool isUpdatable
    10; ConvolutionLayerParams convolution 100; PoolingLayerParams pooling 120; ActivationParams activation 130;
    InnerProductLayerParams innerProduct 140; EmbeddingLayerParams embedding 150; BatchnormLayerParams batchnorm 160;
    MeanVarianceNormalizeLayerParams mvn 165; L2NormalizeLayerParams l2normalize 170; SoftmaxLayerParams softmax 175;
    LRNLayerParams lrn 180; CropLayerParams crop 190; PaddingLayerParams padding 200; UpsampleLayerParams upsample
    210; ResizeBilinearLayerParams resizeBilinear 211; CropResizeLayerParams cropResize 212; UnaryFunctionLayerParams
    unary 220; AddLayerParams add 230; MultiplyLayerParams multiply 231; AverageLayerParams average 240;
    ScaleLayerParams scale 245; BiasLayerParams bias 250; MaxLayerParams max 260; MinLayerParams min 261;
    DotProductLayerParams dot 270; ReduceLayerParams reduce 280; LoadConstantLayerParams loadConstant 290;
    ReshapeLayerParams reshape 300; FlattenLayerParams flatten 301; PermuteLayerParams permute 310; ConcatLayerParams
    concat 320; SplitLayerParams split 330; SequenceRepeatLayerParams sequenceRepeat 340; ReorganizeDataLayerParams
    reorganizeData 345; SliceLayerParams slice 350; SimpleRecurrentLayerParams simpleRecurrent 400; GRULayerParams gru
    410; UniDirectionalLSTMLayerParams uniDirectionalLSTM 420; BiDirectionalLSTMLayerParams biDirectionalLSTM 430;
    CustomLayerParams custom 500; CopyLayerParams copy 600; BranchLayerParams branch 605; LoopLayerParams loop 615;
    LoopBreakLayerParams loopBreak 620; LoopContinueLayerParams loopContinue 625; RangeStaticLayerParams rangeStatic
    635; RangeDynamicLayerParams rangeDynamic 640; ClipLayerParams clip 660; CeilLayerParams ceil 665;
    FloorLayerParams floor 670; SignLayerParams sign 680; RoundLayerParams round 685; Exp2LayerParams exp2 700;
    SinLayerParams sin 710; CosLayerParams cos 715; TanLayerParams tan 720; AsinLayerParams asin 730; AcosLayerParams
    acos 735; AtanLayerParams atan 740; SinhLayerParams sinh 750; CoshLayerParams cosh 755; TanhLayerParams tanh 760;
    AsinhLayerParams asinh 770; AcoshLayerParams acosh 775; AtanhLayerParams atanh 780; ErfLayerParams erf 790;
    GeluLayerParams gelu 795; EqualLayerParams equal 815; NotEqualLayerParams notEqual 820; LessThanLayerParams
    lessThan 825; LessEqualLayerParams lessEqual 827; GreaterThanLayerParams greaterThan 830; GreaterEqualLayerParams
    greaterEqual 832; LogicalOrLayerParams logicalOr 840; LogicalXorLayerParams logicalXor 845; LogicalNotLayerParams
    logicalNot 850; LogicalAndLayerParams logicalAnd 855; ModBroadcastableLayerParams modBroadcastable 865;
    MinBroadcastableLayerParams minBroadcastable 870; MaxBroadcastableLayerParams maxBroadcastable 875;
    AddBroadcastableLayerParams addBroadcastable 880; PowBroadcastableLayerParams powBroadcastable 885;
    DivideBroadcastableLayerParams divideBroadcastable 890; FloorDivBroadcastableLayerParams floorDivBroadcastable
    895; MultiplyBroadcastableLayerParams multiplyBroadcastable 900; SubtractBroadcastableLayerParams
    subtractBroadcastable 905; TileLayerParams tile 920; StackLayerParams stack 925; GatherLayerParams gather 930;
    ScatterLayerParams scatter 935; GatherNDLayerParams gatherND 940; ScatterNDLayerParams scatterND 945;
    SoftmaxNDLayerParams softmaxND 950; GatherAlongAxisLayerParams gatherAlongAxis 952; ScatterAlongAxisLayerParams
    scatterAlongAxis 954; ReverseLayerParams reverse 960; ReverseSeqLayerParams reverseSeq 965; SplitNDLayerParams
    splitND 975; ConcatNDLayerParams concatND 980; TransposeLayerParams transpose 985; SliceStaticLayerParams
    sliceStatic 995; SliceDynamicLayerParams sliceDynamic 1000; SlidingWindowsLayerParams slidingWindows 1005;
    TopKLayerParams topK 1015; ArgMinLayerParams argMin 1020; ArgMaxLayerParams argMax 1025; EmbeddingNDLayerParams
    embeddingND 1040; BatchedMatMulLayerParams batchedMatmul 1045; GetShapeLayerParams getShape 1065;
    LoadConstantNDLayerParams loadConstantND 1070; FillLikeLayerParams fillLike 1080; FillStaticLayerParams fillStatic
    1085; FillDynamicLayerParams fillDynamic 1090; BroadcastToLikeLayerParams broadcastToLike 1100;
    BroadcastToStaticLayerParams broadcastToStatic 1105; BroadcastToDynamicLayerParams broadcastToDynamic 1110;
    SqueezeLayerParams squeeze 1120; ExpandDimsLayerParams expandDims 1125; FlattenTo2DLayerParams flattenTo2D 1130;
    ReshapeLikeLayerParams reshapeLike 1135; ReshapeStaticLayerParams reshapeStatic 1140; ReshapeDynamicLayerParams
    reshapeDynamic 1145; RankPreservingReshapeLayerParams rankPreservingReshape 1150; ConstantPaddingLayerParams
    constantPad 1155; RandomNormalLikeLayerParams randomNormalLike 1170; RandomNormalStaticLayerParams
    randomNormalStatic 1175; RandomNormalDynamicLayerParams randomNormalDynamic 1180; RandomUniformLikeLayerParams
    randomUniformLike 1190; RandomUniformStaticLayerParams randomUniformStatic 1195; RandomUniformDynamicLayerParams
    randomUniformDynamic 1200; RandomBernoulliLikeLayerParams randomBernoulliLike 1210;
    RandomBernoulliStaticLayerParams randomBernoulliStatic 1215; RandomBernoulliDynamicLayerParams
    randomBernoulliDynamic 1220; CategoricalDistributionLayerParams categoricalDistribution 1230; ReduceL1LayerParams
    reduceL1 1250; ReduceL2LayerParams reduceL2 1255; ReduceMaxLayerParams reduceMax 1260; ReduceMinLayerParams
    reduceMin 1265; ReduceSumLayerParams reduceSum 1270; ReduceProdLayerParams reduceProd 1275; ReduceMeanLayerParams
    reduceMean 1280; ReduceLogSumLayerParams reduceLogSum 1285; ReduceSumSquareLayerParams reduceSumSquare 1290;
    ReduceLogSumExpLayerParams reduceLogSumExp 1295; WhereNonZeroLayerParams whereNonZero 1313;
    MatrixBandPartLayerParams matrixBandPart 1315; LowerTriangularLayerParams lowerTriangular 1320;
    UpperTriangularLayerParams upperTriangular 1325; WhereBroadcastableLayerParams whereBroadcastable 1330;
    LayerNormalizationLayerParams layerNormalization 1350; NonMaximumSuppressionLayerParams NonMaximumSuppression
    1400; OneHotLayerParams oneHot 1450; CumSumLayerParams cumSum 1455; ClampedReLULayerParams clampedReLU 1460;
    ArgSortLayerParams argSort 1461; Pooling3DLayerParams pooling3d 1465; GlobalPooling3DLayerParams globalPooling3d
    1466; SliceBySizeLayerParams sliceBySize 1470; Convolution3DLayerParams convolution3d 1471
Tensor: uint32 rank 1; int64* dimValue 2
ConvolutionLayerParams: uint64 outputChannels 1 kernelChannels 2 nGroups 10; uint64* kernelSize 20 stride 30
    dilationFactor 40 outputShape 100; ValidPadding valid 50; SamePadding same 51; bool isDeconvolution 60 hasBias 70;
    WeightParams weights 90 bias 91
ValidPadding: BorderAmounts paddingAmounts 1
BorderAmounts: EdgeSizes* borderAmounts 10
EdgeSizes: uint64 startEdgeSize 1 endEdgeSize 2
SamePadding: SamePaddingMode asymmetryMode 1
WeightParams: float* floatValue 1; bytes float16Value 2 rawValue 30 int8RawValue 31; QuantizationParams quantization
    40; bool isUpdatable 50
QuantizationParams: uint64 numberOfBits 1; LinearQuantizationParams linearQuantization 101;
    LookUpTableQuantizationParams lookupTableQuantization 102
LinearQuantizationParams: float* scale 1 bias 2
LookUpTableQuantizationParams: float* floatValue 1
PoolingLayerParams: PoolingType type 1; uint64* kernelSize 10 stride 20; ValidPadding valid 30; SamePadding same 31;
    ValidCompletePadding includeLastPixel 32; bool avgPoolExcludePadding 50 globalPooling 60
ValidCompletePadding: uint64* paddingAmounts 10
ActivationParams: ActivationLinear linear 5; ActivationReLU ReLU 10; ActivationLeakyReLU leakyReLU 15;
    ActivationThresholdedReLU thresholdedReLU 20; ActivationPReLU PReLU 25; ActivationTanh tanh 30;
    ActivationScaledTanh scaledTanh 31; ActivationSigmoid sigmoid 40; ActivationSigmoidHard sigmoidHard 41;
    ActivationELU ELU 50; ActivationSoftsign softsign 60; ActivationSoftplus softplus 70; ActivationParametricSoftplus
    parametricSoftplus 71
ActivationLinear: float alpha 1 beta 2
ActivationReLU:
ActivationLeakyReLU: float alpha 1
ActivationThresholdedReLU: float alpha 1
ActivationPReLU: WeightParams alpha 1
ActivationTanh:
ActivationScaledTanh: float alpha 1 beta 2
ActivationSigmoid:
ActivationSigmoidHard: float alpha 1 beta 2
ActivationELU: float alpha 1
ActivationSoftsign:
ActivationSoftplus:
ActivationParametricSoftplus: WeightParams alpha 1 beta 2
InnerProductLayerParams: uint64 inputChannels 1 outputChannels 2; bool hasBias 10 int8DynamicQuantize 22; WeightParams
    weights 20 bias 21
EmbeddingLayerParams: uint64 inputDim 1 outputChannels 2; bool hasBias 10; WeightParams weights 20 bias 21
BatchnormLayerParams: uint64 channels 1; bool computeMeanVar 5 instanceNormalization 6; float epsilon 10; WeightParams
    gamma 15 beta 16 mean 17 variance 18
MeanVarianceNormalizeLayerParams: bool acrossChannels 1 normalizeVariance 2; float epsilon 3
L2NormalizeLayerParams: float epsilon 1
SoftmaxLayerParams:
LRNLayerParams: float alpha 1 beta 2 k 4; uint64 localSize 3
CropLayerParams: BorderAmounts cropAmounts 1; uint64* offset 5
PaddingLayerParams: PaddingConstant constant 1; PaddingReflection reflection 2; PaddingReplication replication 3;
    BorderAmounts paddingAmounts 10
PaddingConstant: float value 1
PaddingReflection:
PaddingReplication:
UpsampleLayerParams: uint64* scalingFactor 1; float* fractionalScalingFactor 7; InterpolationMode mode 5;
    LinearUpsampleMode linearUpsampleMode 6
ResizeBilinearLayerParams: uint64* targetSize 1; SamplingMode mode 2
SamplingMode: Method samplingMethod 1
CropResizeLayerParams: uint64* targetSize 1; bool normalizedCoordinates 2; SamplingMode mode 3; BoxCoordinatesMode
    boxIndicesMode 4; float spatialScale 5
BoxCoordinatesMode: Coordinates boxMode 1
UnaryFunctionLayerParams: Operation type 1; float alpha 2 epsilon 3 shift 4 scale 5
AddLayerParams: float alpha 1
MultiplyLayerParams: float alpha 1
AverageLayerParams:
ScaleLayerParams: uint64* shapeScale 1 shapeBias 4; WeightParams scale 2 bias 5; bool hasBias 3
BiasLayerParams: uint64* shape 1; WeightParams bias 2
MaxLayerParams:
MinLayerParams:
DotProductLayerParams: bool cosineSimilarity 1
ReduceLayerParams: ReduceOperation mode 1; float epsilon 2; ReduceAxis axis 3
LoadConstantLayerParams: uint64* shape 1; WeightParams data 2
ReshapeLayerParams: int64* targetShape 1; ReshapeOrder mode 2
FlattenLayerParams: FlattenOrder mode 1
PermuteLayerParams: uint64* axis 1
ConcatLayerParams: bool sequenceConcat 100
SplitLayerParams: uint64 nOutputs 1
SequenceRepeatLayerParams: uint64 nRepetitions 1
ReorganizeDataLayerParams: ReorganizationType mode 1; uint64 blockSize 2
SliceLayerParams: int64 startIndex 1 endIndex 2; uint64 stride 3; SliceAxis axis 4
SimpleRecurrentLayerParams: uint64 inputVectorSize 1 outputVectorSize 2; ActivationParams activation 10; bool
    sequenceOutput 15 hasBiasVector 20 reverseInput 100; WeightParams weightMatrix 30 recursionMatrix 31 biasVector 32
GRULayerParams: uint64 inputVectorSize 1 outputVectorSize 2; ActivationParams* activations 10; bool sequenceOutput 15
    hasBiasVectors 20 reverseInput 100; WeightParams updateGateWeightMatrix 30 resetGateWeightMatrix 31
    outputGateWeightMatrix 32 updateGateRecursionMatrix 50 resetGateRecursionMatrix 51 outputGateRecursionMatrix 52
    updateGateBiasVector 70 resetGateBiasVector 71 outputGateBiasVector 72
UniDirectionalLSTMLayerParams: uint64 inputVectorSize 1 outputVectorSize 2; ActivationParams* activations 10;
    LSTMParams params 15; LSTMWeightParams weightParams 20; bool reverseInput 100
LSTMParams: bool sequenceOutput 10 hasBiasVectors 20 forgetBias 30 hasPeepholeVectors 40 coupledInputAndForgetGate 50;
    float cellClipThreshold 60
LSTMWeightParams: WeightParams inputGateWeightMatrix 1 forgetGateWeightMatrix 2 blockInputWeightMatrix 3
    outputGateWeightMatrix 4 inputGateRecursionMatrix 20 forgetGateRecursionMatrix 21 blockInputRecursionMatrix 22
    outputGateRecursionMatrix 23 inputGateBiasVector 40 forgetGateBiasVector 41 blockInputBiasVector 42
    outputGateBiasVector 43 inputGatePeepholeVector 60 forgetGatePeepholeVector 61 outputGatePeepholeVector 62
BiDirectionalLSTMLayerParams: uint64 inputVectorSize 1 outputVectorSize 2; ActivationParams* activationsForwardLSTM 10
    activationsBackwardLSTM 11; LSTMParams params 15; LSTMWeightParams* weightParams 20
CustomLayerParams: string className 10 description 40; WeightParams* weights 20; map<string,CustomLayerParamValue>
    parameters 30
CustomLayerParamValue: double doubleValue 10; string stringValue 20; int32 intValue 30; int64 longValue 40; bool
    boolValue 50
CopyLayerParams:
BranchLayerParams: NeuralNetwork ifBranch 1 elseBranch 2
LoopLayerParams: uint64 maxLoopIterations 1; string conditionVar 2; NeuralNetwork conditionNetwork 3 bodyNetwork 4
LoopBreakLayerParams:
LoopContinueLayerParams:
RangeStaticLayerParams: float endValue 1 startValue 2 stepSizeValue 3
RangeDynamicLayerParams: float startValue 2 stepSizeValue 3
ClipLayerParams: float minVal 1 maxVal 2
CeilLayerParams:
FloorLayerParams:
SignLayerParams:
RoundLayerParams:
Exp2LayerParams:
SinLayerParams:
CosLayerParams:
TanLayerParams:
AsinLayerParams:
AcosLayerParams:
AtanLayerParams:
SinhLayerParams:
CoshLayerParams:
TanhLayerParams:
AsinhLayerParams:
AcoshLayerParams:
AtanhLayerParams:
ErfLayerParams:
GeluLayerParams: GeluMode mode 1
EqualLayerParams: float alpha 1
NotEqualLayerParams: float alpha 1
LessThanLayerParams: float alpha 2
LessEqualLayerParams: float alpha 2
GreaterThanLayerParams: float alpha 2
GreaterEqualLayerParams: float alpha 2
LogicalOrLayerParams:
LogicalXorLayerParams:
LogicalNotLayerParams:
LogicalAndLayerParams:
ModBroadcastableLayerParams:
MinBroadcastableLayerParams:
MaxBroadcastableLayerParams:
AddBroadcastableLayerParams:
PowBroadcastableLayerParams:
DivideBroadcastableLayerParams:
FloorDivBroadcastableLayerParams:
MultiplyBroadcastableLayerParams:
SubtractBroadcastableLayerParams:
TileLayerParams: uint64* reps 1
StackLayerParams: int64 axis 1
GatherLayerParams: int64 axis 1
ScatterLayerParams: int64 axis 1; ScatterMode mode 2
GatherNDLayerParams:
ScatterNDLayerParams: ScatterMode mode 1
SoftmaxNDLayerParams: int64 axis 1
GatherAlongAxisLayerParams: int64 axis 1
ScatterAlongAxisLayerParams: int64 axis 1; ScatterMode mode 2
ReverseLayerParams: bool* reverseDim 1
ReverseSeqLayerParams: int64 batchAxis 1 sequenceAxis 2
SplitNDLayerParams: int64 axis 1; uint64 numSplits 2; uint64* splitSizes 3
ConcatNDLayerParams: int64 axis 1; bool interleave 2
TransposeLayerParams: uint64* axes 1
SliceStaticLayerParams: int64* beginIds 1 endIds 3 strides 5; bool* beginMasks 2 endMasks 4 squeezeMasks 6
SliceDynamicLayerParams: bool* beginMasks 2 endMasks 4 squeezeMasks 6; int64* endIds 3 strides 5
SlidingWindowsLayerParams: int64 axis 1; uint64 windowSize 2 step 3
TopKLayerParams: int64 axis 1; uint64 K 2; bool useBottomK 3
ArgMinLayerParams: int64 axis 1; bool removeDim 2
ArgMaxLayerParams: int64 axis 1; bool removeDim 2
EmbeddingNDLayerParams: uint64 vocabSize 1 embeddingSize 2; bool hasBias 3; WeightParams weights 20 bias 21
BatchedMatMulLayerParams: bool transposeA 1 transposeB 2 hasBias 7 int8DynamicQuantize 10; uint64
    weightMatrixFirstDimension 5 weightMatrixSecondDimension 6; WeightParams weights 8 bias 9
GetShapeLayerParams:
LoadConstantNDLayerParams: uint64* shape 1; WeightParams data 2
FillLikeLayerParams: float value 1
FillStaticLayerParams: float value 1; uint64* targetShape 2
FillDynamicLayerParams: float value 1
BroadcastToLikeLayerParams:
BroadcastToStaticLayerParams: uint64* targetShape 1
BroadcastToDynamicLayerParams:
SqueezeLayerParams: int64* axes 1; bool squeezeAll 2
ExpandDimsLayerParams: int64* axes 1
FlattenTo2DLayerParams: int64 axis 1
ReshapeLikeLayerParams:
ReshapeStaticLayerParams: int64* targetShape 1
ReshapeDynamicLayerParams:
RankPreservingReshapeLayerParams: int64* targetShape 1
ConstantPaddingLayerParams: float value 1; uint64* padAmounts 2; bool padToGivenOutputSizeMode 3
RandomNormalLikeLayerParams: int64 seed 1; float mean 2 stdDev 3
RandomNormalStaticLayerParams: int64 seed 1; float mean 2 stdDev 3; uint64* outputShape 4
RandomNormalDynamicLayerParams: int64 seed 1; float mean 2 stdDev 3
RandomUniformLikeLayerParams: int64 seed 1; float minVal 2 maxVal 3
RandomUniformStaticLayerParams: int64 seed 1; float minVal 2 maxVal 3; uint64* outputShape 4
RandomUniformDynamicLayerParams: int64 seed 1; float minVal 2 maxVal 3
RandomBernoulliLikeLayerParams: int64 seed 1; float prob 2
RandomBernoulliStaticLayerParams: int64 seed 1; float prob 2; uint64* outputShape 3
RandomBernoulliDynamicLayerParams: int64 seed 1; float prob 2
CategoricalDistributionLayerParams: int64 seed 1 numSamples 2; bool isLogits 3; float eps 4 temperature 5
ReduceL1LayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceL2LayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceMaxLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceMinLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceSumLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceProdLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceMeanLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceLogSumLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceSumSquareLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
ReduceLogSumExpLayerParams: int64* axes 1; bool keepDims 2 reduceAll 3
WhereNonZeroLayerParams:
MatrixBandPartLayerParams: int64 numLower 1 numUpper 2
LowerTriangularLayerParams: int64 k 1
UpperTriangularLayerParams: int64 k 1
WhereBroadcastableLayerParams:
LayerNormalizationLayerParams: int64* normalizedShape 1; float eps 2; WeightParams gamma 3 beta 4
NonMaximumSuppressionLayerParams: float iouThreshold 1 scoreThreshold 2; uint64 maxBoxes 3; bool perClassSuppression 4
OneHotLayerParams: uint64 oneHotVectorSize 1; int64 axis 2; float onValue 3 offValue 4
CumSumLayerParams: int64 axis 1; bool excludeFinalSum 2 reverse 3
ClampedReLULayerParams: float alpha 1 beta 2
ArgSortLayerParams: int64 axis 1; bool descending 2
Pooling3DLayerParams: PoolingType3D type 1; int32 kernelDepth 2 kernelHeight 3 kernelWidth 4 strideDepth 5
    strideHeight 6 strideWidth 7 customPaddingFront 8 customPaddingBack 9 customPaddingTop 10 customPaddingBottom 11
    customPaddingLeft 12 customPaddingRight 13; Pooling3DPaddingType paddingType 15; bool countExcludePadding 14
GlobalPooling3DLayerParams: GlobalPoolingType3D type 1
SliceBySizeLayerParams: int64 size 2 axis 3
Convolution3DLayerParams: int32 outputChannels 1 inputChannels 2 nGroups 10 kernelDepth 20 kernelHeight 21 kernelWidth
    22 strideDepth 31 strideHeight 32 strideWidth 33 dilationDepth 40 dilationHeight 41 dilationWidth 42
    customPaddingFront 80 customPaddingBack 81 customPaddingTop 82 customPaddingBottom 83 customPaddingLeft 84
    customPaddingRight 85; bool hasBias 50 isDeconvolution 86; WeightParams weights 60 bias 61; PaddingType
    paddingType 70; uint64* outputShape 87
NeuralNetworkPreprocessing: string featureName 1; NeuralNetworkImageScaler scaler 10; NeuralNetworkMeanImage meanImage
    11
NeuralNetworkImageScaler: float channelScale 10 blueBias 20 greenBias 21 redBias 22 grayBias 30
NeuralNetworkMeanImage: float* meanImage 1
NetworkUpdateParameters: LossLayer* lossLayers 1; Optimizer optimizer 2; Int64Parameter epochs 3 seed 20;
    BoolParameter shuffle 10
LossLayer: string name 1; CategoricalCrossEntropyLossLayer categoricalCrossEntropyLossLayer 10;
    MeanSquaredErrorLossLayer meanSquaredErrorLossLayer 11
CategoricalCrossEntropyLossLayer: string input 1 target 2
MeanSquaredErrorLossLayer: string input 1 target 2
Optimizer: SGDOptimizer sgdOptimizer 10; AdamOptimizer adamOptimizer 11
SGDOptimizer: DoubleParameter learningRate 1 momentum 3; Int64Parameter miniBatchSize 2
DoubleParameter: double defaultValue 1; DoubleRange range 10
DoubleRange: double minValue 1 maxValue 2
Int64Parameter: int64 defaultValue 1; Int64Range range 10; Int64Set set 11
Int64Range: int64 minValue 1 maxValue 2
Int64Set: int64* values 1
AdamOptimizer: DoubleParameter learningRate 1 beta1 3 beta2 4 eps 5; Int64Parameter miniBatchSize 2
BoolParameter: bool defaultValue 1
NeuralNetworkClassifier: NeuralNetworkLayer* layers 1; NeuralNetworkPreprocessing* preprocessing 2;
    NeuralNetworkMultiArrayShapeMapping arrayInputShapeMapping 5; NeuralNetworkImageShapeMapping
    imageInputShapeMapping 6; NetworkUpdateParameters updateParams 10; StringVector stringClassLabels 100; Int64Vector
    int64ClassLabels 101; string labelProbabilityLayerName 200
StringVector: string* vector 1
Int64Vector: int64* vector 1
NeuralNetworkRegressor: NeuralNetworkLayer* layers 1; NeuralNetworkPreprocessing* preprocessing 2;
    NeuralNetworkMultiArrayShapeMapping arrayInputShapeMapping 5; NeuralNetworkImageShapeMapping
    imageInputShapeMapping 6; NetworkUpdateParameters updateParams 10
enum Coordinates: CORNERS_HEIGHT_FIRST CORNERS_WIDTH_FIRST CENTER_SIZE_HEIGHT_FIRST CENTER_SIZE_WIDTH_FIRST
enum PaddingType: CUSTOM VALID SAME
enum FlattenOrder: CHANNEL_FIRST CHANNEL_LAST
enum GeluMode: EXACT TANH_APPROXIMATION SIGMOID_APPROXIMATION
enum GlobalPoolingType3D: MAX AVERAGE
enum NeuralNetworkImageShapeMapping: RANK5_IMAGE_MAPPING RANK4_IMAGE_MAPPING
enum NeuralNetworkMultiArrayShapeMapping: RANK5_ARRAY_MAPPING EXACT_ARRAY_MAPPING
enum Pooling3DPaddingType: CUSTOM VALID SAME
enum PoolingType3D: MAX AVERAGE
enum PoolingType: MAX AVERAGE L2
enum ReduceAxis: CHW HW C H W
enum ReduceOperation: SUM AVG PROD LOGSUM SUMSQUARE L1 L2 MAX MIN ARGMAX
enum ReorganizationType: SPACE_TO_DEPTH DEPTH_TO_SPACE PIXEL_SHUFFLE
enum ReshapeOrder: CHANNEL_FIRST CHANNEL_LAST
enum SamePaddingMode: BOTTOM_RIGHT_HEAVY TOP_LEFT_HEAVY
enum Method: STRICT_ALIGN_ENDPOINTS_MODE ALIGN_ENDPOINTS_MODE UPSAMPLE_MODE ROI_ALIGN_MODE
enum ScatterMode: SCATTER_UPDATE SCATTER_ADD SCATTER_SUB SCATTER_MUL SCATTER_DIV SCATTER_MAX SCATTER_MIN
enum SliceAxis: CHANNEL_AXIS HEIGHT_AXIS WIDTH_AXIS
enum Operation: SQRT RSQRT INVERSE POWER EXP LOG ABS THRESHOLD
enum InterpolationMode: NN BILINEAR
enum LinearUpsampleMode: DEFAULT ALIGN_CORNERS_TRUE ALIGN_CORNERS_FALSE
)";

}  // namespace bespoke::detail

#endif
